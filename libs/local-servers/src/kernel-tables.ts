/** What the kernel shows of this machine: processes, mounts, cgroups. All of it may vanish while it is read. */
import { type Dirent, readdirSync, readFileSync, readlinkSync, existsSync } from 'node:fs';
import { join } from 'node:path';

export const CGROUPS = '/sys/fs/cgroup';
/**
 * A process or file that ended or was removed meanwhile, or has no namespace of its own any more; or a directory so
 * deep that the kernel can't name it, as any container can make one.
 */
const VANISHED = ['ENOENT', 'ESRCH', 'EACCES', 'EINVAL', 'EPERM', 'ENODEV', 'ENOTDIR', 'ENAMETOOLONG'];

export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** A file of proc(5) below `/proc/<pid>`; empty when the process has ended. */
export function readProcess(pid: number, file: string): string {
  return whileThere(() => readFileSync(`/proc/${pid}/${file}`, 'utf8'), '');
}

/**
 * Where a link below `/proc/<pid>` leads; empty when the process has ended, is a thread of the kernel, or the name is
 * longer than 4,095 bytes.
 */
export function linkOfProcess(pid: number, name: 'cwd' | 'exe' | 'root'): string {
  return whileThere(() => readlinkSync(`/proc/${pid}/${name}`), '');
}

/** Pure: mount points in the text of a mountinfo file, proc(5). */
export function mountTargets(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .filter(Boolean)
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    );
}

/** Pure. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/** Directories of all cgroup hierarchies: one with version 2, one for each controller with version 1. */
export function cgroupHierarchies(): string[] {
  return existsSync(join(CGROUPS, 'cgroup.controllers'))
    ? [CGROUPS]
    : directoriesIn(CGROUPS).map((name) => join(CGROUPS, name));
}

/** Names of the directories in a directory; none when it is not there. */
export function directoriesIn(path: string): string[] {
  return whileThere((): Dirent[] => readdirSync(path, { withFileTypes: true }), [])
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

function whileThere<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (VANISHED.includes((error as NodeJS.ErrnoException).code ?? '')) return otherwise;
    throw error;
  }
}
