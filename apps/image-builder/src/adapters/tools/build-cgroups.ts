/** The cgroups of a build's commands. The runtime fails on one that stays busy for a moment; this code waits for it. */
import { readdir, rm, rmdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const DEADLINE_MS = 20_000;
/** A cgroup can't be removed while a process that ended in it was not waited for by its parent. */
const BUSY = 'EBUSY';
/** statfs(2) f_type of tmpfs (linux/magic.h). */
const TMPFS_MAGIC = 0x0102_1994;

export function buildCgroup(id: string): string {
  // Not the name of a container, which an agent would take for a leftover. One level: no parent is left behind.
  return `/plinth-build-${id}`;
}

/** Removes them in every hierarchy. @throws Error when one stays busy */
export async function removeBuildCgroups(id: string): Promise<void> {
  const hierarchies = (await readdir(ROOT, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(ROOT, entry.name));
  const deadline = performance.now() + DEADLINE_MS;
  for (const directory of [ROOT, ...hierarchies].map((hierarchy) => hierarchy + buildCgroup(id))) {
    while (!(await removed(directory))) {
      if (performance.now() > deadline) throw new Error(`the cgroup ${directory} stays busy`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function removed(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === BUSY) return false;
    if (code !== 'ENOTEMPTY' || (await statfs(directory)).type !== TMPFS_MAGIC) throw error;
    // The private memory file system over the hidden hierarchy, where the runtime's cgroup is a directory with plain
    // files.
    await rm(directory, { recursive: true, force: true });
    return true;
  }
}
