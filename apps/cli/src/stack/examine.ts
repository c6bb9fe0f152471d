/** Looks at this machine: what Plinth needs, what is there, what to do about the rest. Changes nothing. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { homeDirectory } from './stack-file.js';

const run = promisify(execFile);

export interface Finding {
  readonly level: 'ok' | 'warn' | 'fail';
  readonly name: string;
  readonly found: string;
  readonly advice: string | null;
}

const GIB = 1024 ** 3;
const CAP_SYS_RESOURCE = 24;

const PROGRAMS: readonly { readonly name: string; readonly argv: readonly string[]; readonly debian: string; readonly optional?: boolean }[] = [
  { name: 'nats-server', argv: ['--version'], debian: 'nats-server' },
  { name: 'crun', argv: ['--version'], debian: 'crun' },
  { name: 'runc', argv: ['--version'], debian: 'runc', optional: true },
  { name: 'conmon', argv: ['--version'], debian: 'conmon' },
  { name: 'mmdebstrap', argv: ['--version'], debian: 'mmdebstrap' },
  { name: 'zstd', argv: ['--version'], debian: 'zstd' },
  { name: 'tar', argv: ['--version'], debian: 'tar' },
  { name: 'unshare', argv: ['--version'], debian: 'util-linux' },
  { name: 'setpriv', argv: ['--version'], debian: 'util-linux' },
];

export async function examine(): Promise<readonly Finding[]> {
  const programs = await Promise.all(PROGRAMS.map(program));
  return [system(), root(), node(), ...kernel(), cgroups(), capabilities(), ...programs, disk(), memory()];
}

const ok = (name: string, found: string): Finding => ({ level: 'ok', name, found, advice: null });
const finding = (good: boolean, level: 'warn' | 'fail', name: string, found: string, advice: string): Finding => (good ? ok(name, found) : { level, name, found, advice });

function system(): Finding {
  return finding(process.platform === 'linux', 'fail', 'system', `${process.platform} ${process.arch}`, 'run it on Linux');
}

function root(): Finding {
  return finding(process.getuid?.() === 0, 'fail', 'root', `uid ${process.getuid?.() ?? '?'}`, 'run it as root: it mounts and starts containers');
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return finding(major > 20 || (major === 20 && minor >= 19), 'fail', 'Node.js', process.versions.node, 'install Node.js 20.19 or later');
}

function kernel(): Finding[] {
  const fileSystems = readText('/proc/filesystems');
  const namespaces = ['mnt', 'pid', 'net', 'ipc', 'uts'].filter((name) => !existsSync(`/proc/self/ns/${name}`));
  return [
    finding(/\boverlay\b/.test(fileSystems), 'fail', 'overlayfs', /\boverlay\b/.test(fileSystems) ? 'yes' : 'no', 'modprobe overlay'),
    finding(/\btmpfs\b/.test(fileSystems), 'fail', 'tmpfs', /\btmpfs\b/.test(fileSystems) ? 'yes' : 'no', 'use a kernel with tmpfs'),
    finding(namespaces.length === 0, 'fail', 'namespaces', namespaces.length === 0 ? 'all' : `missing: ${namespaces.join(', ')}`, 'use a kernel with these namespaces'),
  ];
}

function cgroups(): Finding {
  if (existsSync('/sys/fs/cgroup/cgroup.controllers')) {
    const controllers = readText('/sys/fs/cgroup/cgroup.controllers').trim().split(' ');
    const missing = ['memory', 'cpu', 'pids'].filter((name) => !controllers.includes(name));
    return finding(missing.length === 0, 'fail', 'cgroups', `v2: ${controllers.join(' ')}`, `enable the controllers ${missing.join(', ')}`);
  }
  const missing = ['memory', 'cpu', 'pids', 'freezer'].filter((name) => !existsSync(`/sys/fs/cgroup/${name}`));
  const form = existsSync('/sys/fs/cgroup/unified') ? 'v1 with a v2 hybrid' : 'v1';
  return finding(missing.length === 0, 'fail', 'cgroups', form, `mount the controllers ${missing.join(', ')}`);
}

function capabilities(): Finding {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status'))?.[1] ?? '0';
  const has = (BigInt(`0x${effective}`) >> BigInt(CAP_SYS_RESOURCE)) & 1n;
  return finding(has === 1n, 'warn', 'CAP_SYS_RESOURCE', has === 1n ? 'yes' : 'no', 'nothing to do: resource limits are never raised without it');
}

async function program({ name, argv, debian, optional }: (typeof PROGRAMS)[number]): Promise<Finding> {
  try {
    const { stdout, stderr } = await run(name, [...argv], { timeout: 5_000 });
    return ok(name, (stdout || stderr).split('\n')[0]?.slice(0, 60) ?? '');
  } catch (error) {
    const advice = `apt-get install --no-install-recommends ${debian}`;
    return { level: optional ? 'warn' : 'fail', name, found: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'not found' : String((error as Error).message).slice(0, 60), advice };
  }
}

function disk(): Finding {
  let directory = homeDirectory();
  while (!existsSync(directory)) directory = dirname(directory);
  const { bavail, bsize, ffree } = statfsSync(directory);
  const free = (bavail * bsize) / GIB;
  return finding(free > 5 && ffree > 200_000, free > 2 ? 'warn' : 'fail', 'disk', `${free.toFixed(1)} GiB and ${ffree} inodes free at ${directory}`, 'an image needs about 1 GiB while it is built; free some, or set PLINTH_HOME');
}

function memory(): Finding {
  return finding(freemem() > 2 * GIB, 'warn', 'memory', `${(freemem() / GIB).toFixed(1)} GiB free`, 'a stack needs about 1 GiB');
}

function readText(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
