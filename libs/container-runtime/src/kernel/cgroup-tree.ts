/**
 * Where cgroups and their files are: one directory for all controllers with version 2, one for each with version 1.
 *
 * Depends on: the kernel's documentation of both versions. Of a hybrid machine, which has both, it is version 1 that
 * counts: there are the controllers. A path of the kernel has 4,096 bytes at the most, and a container's init may make
 * groups that lie deeper.
 */
import { closeSync, constants, existsSync, openSync, readdirSync, statfsSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';

export const CGROUPS = '/sys/fs/cgroup';
/** statfs(2) f_type of cgroup2 (linux/magic.h). */
const CGROUP2_MAGIC = 0x6367_7270;
/** Bytes. Longer paths are continued from a descriptor: a name has 255 at the most. */
const LONG_PATH = 3_500;

export type CgroupVersion = 1 | 2;

/** As this thread sees them. */
export function cgroupVersion(): CgroupVersion {
  return isCgroup2(CGROUPS) ? 2 : 1;
}

/**
 * How this machine's cgroups are laid out, as this process sees them. `hybrid`: version 1 with version 2 beside it,
 * which crun refuses when controllers are on both; `legacy`: version 1, or hybrid with the second hierarchy hidden by a
 * private memory file system.
 */
export function cgroupLayout(): 'unified' | 'hybrid' | 'legacy' {
  if (cgroupVersion() === 2) return 'unified';
  return existsSync(`${CGROUPS}/unified`) && isCgroup2(`${CGROUPS}/unified`) ? 'hybrid' : 'legacy';
}

/** Pure. @param group see cgroupPath @param controller its directory with version 1 */
export function cgroupFile(version: CgroupVersion, controller: string, group: string, file: string): string {
  return version === 2 ? `${CGROUPS}${group}/${file}` : `${CGROUPS}/${controller}${group}/${file}`;
}

/**
 * The mounted hierarchies: the root itself with version 2, its directories with version 1 (links such as
 * `cpu → cpu,cpuacct` left out).
 */
export function cgroupHierarchies(): string[] {
  if (cgroupVersion() === 2) return [CGROUPS];
  return directoriesIn(CGROUPS).map((name) => `${CGROUPS}/${name}`);
}

/** A cgroup while it is visited, see {@link cgroupsFrom}. Paths are of bytes: names need not be text. */
export interface VisitedCgroup {
  /** For what is in it. */
  readonly inside: Buffer;
  /** For its removal. */
  readonly entry: Buffer;
}

/**
 * A cgroup and all below it, children before parents. A container's init has chosen their names, which need not be
 * text, and their depth, so that a path may be longer than the kernel takes.
 */
export function* cgroupsFrom(directory: string): Generator<VisitedCgroup> {
  const levels: Level[] = [];
  const enter = (entry: string): void => {
    const fd = entry.length > LONG_PATH ? openDirectory(entry) : undefined;
    const inside = fd === undefined ? entry : `/proc/self/fd/${fd}`;
    levels.push({ entry, inside, fd, names: directoriesIn(inside) });
  };
  try {
    enter(directory);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.names.pop();
      if (name !== undefined) {
        enter(`${level.inside}/${name}`);
        continue;
      }
      yield { entry: bytes(level.entry), inside: bytes(level.inside) };
      levels.pop();
      if (level.fd !== undefined) closeSync(level.fd);
    }
  } finally {
    for (const { fd } of levels) if (fd !== undefined) closeSync(fd);
  }
}

/** Paths as latin1, a character for each byte. */
interface Level {
  readonly entry: string;
  readonly inside: string;
  readonly fd: number | undefined;
  /** Directories in it that were not visited yet. */
  readonly names: string[];
}

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

/** undefined: it is gone. */
function openDirectory(path: string): number | undefined {
  try {
    return openSync(bytes(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Names as latin1; empty when there is no such directory. */
export function directoriesIn(path: string): string[] {
  try {
    return readdirSync(bytes(path), { withFileTypes: true, encoding: 'latin1' })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    // ENAMETOOLONG: one that was gone when it should be opened.
    if (hasCode(error, 'ENOENT', 'ENAMETOOLONG')) return [];
    throw error;
  }
}

function isCgroup2(path: string): boolean {
  return statfsSync(path).type === CGROUP2_MAGIC;
}
