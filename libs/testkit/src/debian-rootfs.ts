import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { REQUIRED_MOUNT_POINTS } from '@plinth/contracts';
import { madeOnce } from './test-cache.js';

/** Debian packages for a tree that boots by systemd; each installs what it needs. */
const SYSTEM_PACKAGES = ['systemd-sysv', 'dbus', 'cron', 'openssh-server', 'iputils-ping'];

const SUITES = { 12: 'bookworm', 13: 'trixie' } as const;
export type DebianRelease = keyof typeof SUITES;

/** As {@link debianRootfs}, with systemd, cron, sshd and ping. */
export function debianSystemRootfs(release: DebianRelease): Promise<string> {
  return rootfs(`debian-${release}-system`, SUITES[release], ['--include', SYSTEM_PACKAGES.join(',')]);
}

/**
 * A small Debian 12 tree as an image holds it: mount points there, /dev empty. Built once by mmdebstrap (root and a
 * mirror are needed: `PLINTH_DEBIAN_MIRROR`, else the machine's own) and kept in `PLINTH_TEST_CACHE`, else in the
 * system's folder for temporary files; no test may write to it.
 */
export function debianRootfs(): Promise<string> {
  return rootfs('debian-12-minbase', SUITES[12], []);
}

async function rootfs(name: string, suite: string, options: readonly string[]): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new Error('a Debian tree can only be built as root: run the integration tests as root');
  return madeOnce(name, (finished) => build(dirname(finished), finished, suite, options));
}

async function build(cache: string, finished: string, suite: string, options: readonly string[]): Promise<void> {
  const staging = mkdtempSync(join(cache, `building-${process.env['PLINTH_TEST_RUN'] ?? ''}-`));
  try {
    const root = join(staging, 'root');
    const argv = ['--quiet', '--variant=minbase', ...options, suite, root, await machineMirror()];
    await promisify(execFile)('mmdebstrap', argv, { maxBuffer: 16 * 1024 ** 2 });
    rmSync(join(root, 'dev'), { recursive: true });
    for (const point of REQUIRED_MOUNT_POINTS) mkdirSync(join(root, point), { recursive: true });
    chmodSync(root, 0o755);
    renameSync(root, finished);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function machineMirror(): Promise<string> {
  const configured = process.env['PLINTH_DEBIAN_MIRROR'];
  if (configured !== undefined) return configured;
  const { stdout } = await promisify(execFile)('apt-get', ['indextargets', '--format', '$(REPO_URI)']);
  const mirror = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (mirror === undefined)
    throw new Error('this machine names no Debian mirror in its own package sources; set PLINTH_DEBIAN_MIRROR');
  return mirror;
}
