import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REQUIRED_MOUNT_POINTS } from '@plinth/contracts';

/**
 * A small Debian 12 tree as an image holds it: mount points there, /dev empty. Built once by mmdebstrap (root and a mirror are needed: `PLINTH_DEBIAN_MIRROR`, else the machine's own) and kept in
 * `PLINTH_TEST_CACHE`, else in the system's folder for temporary files; nobody may write to it.
 */
export async function debianRootfs(): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new Error('a Debian tree can only be built as root: run the integration tests as root');
  const cache = process.env['PLINTH_TEST_CACHE'] ?? join(tmpdir(), 'plinth-test-cache');
  const finished = join(cache, 'debian-12-minbase');
  if (existsSync(finished)) return finished;
  mkdirSync(cache, { recursive: true });
  const staging = mkdtempSync(join(cache, 'building-'));
  try {
    const root = join(staging, 'root');
    await promisify(execFile)('mmdebstrap', ['--quiet', '--variant=minbase', 'bookworm', root, await machineMirror()], {
      maxBuffer: 16 * 1024 ** 2,
    });
    rmSync(join(root, 'dev'), { recursive: true });
    for (const point of REQUIRED_MOUNT_POINTS) mkdirSync(join(root, point), { recursive: true });
    chmodSync(root, 0o755);
    try {
      renameSync(root, finished);
    } catch (error) {
      // Another test process was faster: its tree is as good.
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    return finished;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function machineMirror(): Promise<string> {
  const told = process.env['PLINTH_DEBIAN_MIRROR'];
  if (told !== undefined) return told;
  const { stdout } = await promisify(execFile)('apt-get', ['indextargets', '--format', '$(REPO_URI)']);
  const mirror = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (mirror === undefined)
    throw new Error('this machine names no Debian mirror in its own package sources; set PLINTH_DEBIAN_MIRROR');
  return mirror;
}
