/**
 * Depends on: cgroups of version 1 and 2 as cgroups(7) and the kernel's documentation describe them, and on this of
 * their inner workings: version 1 serves the list of a cgroup's processes from a copy up to a second old, and reports
 * an empty cgroup by no file that can be waited on. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, "is removed whole, whenever its starter was killed".
 * Instead: every pid is checked against /proc, and removal goes on until the kernel agrees.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statfsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { processStartTime, sendSignal } from './process-table.js';

const ROOT = '/sys/fs/cgroup';
/** statfs(2) f_type of cgroup2 and tmpfs (linux/magic.h). */
const CGROUP2_MAGIC = 0x6367_7270;
const TMPFS_MAGIC = 0x0102_1994;

/**
 * How this machine's cgroups are laid out, as this process sees them. `hybrid`: version 1 with version 2 beside it,
 * which crun refuses when controllers are on both; `legacy`: version 1, or hybrid with the second hierarchy hidden by a
 * private memory file system.
 */
export function cgroupLayout(): 'unified' | 'hybrid' | 'legacy' {
  if (statfsSync(ROOT).type === CGROUP2_MAGIC) return 'unified';
  return existsSync(`${ROOT}/unified`) && statfsSync(`${ROOT}/unified`).type === CGROUP2_MAGIC ? 'hybrid' : 'legacy';
}

/**
 * Living processes in a container's cgroup (see cgroupPath), below it included; empty when there is no such cgroup.
 * Version 1 serves a list that is up to a second old, and older when it is read again meanwhile, so each is checked
 * against /proc: dead processes would stay listed, and a pid may belong to another process by now.
 */
export function cgroupProcesses(group: string): readonly number[] {
  const listed = new Set(cgroupDirectories(group).flatMap(processesBelow));
  return [...listed].filter(
    (pid) => processStartTime(pid) !== undefined && readOrEmpty(`/proc/${pid}/cgroup`).includes(group),
  );
}

/** Ids that have a cgroup of the instance: what is left of a container when everything else is lost. */
export function cgroupContainerIds(instance: string): readonly string[] {
  const names = hierarchies().flatMap((hierarchy) => listDirectories(`${hierarchy}/plinth`));
  return [...new Set(names)].flatMap((name) =>
    /^[0-9a-f]{32}\./.test(name) && name.slice(33) === instance ? [name.slice(0, 32)] : [],
  );
}

/**
 * Kills every process of a container and waits until none is left. False: some are still there after `deadlineMs`
 * (uninterruptible sleep).
 */
export async function killCgroup(group: string, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    const pids = cgroupProcesses(group);
    if (pids.length === 0) return true;
    if (performance.now() > end) return false;
    for (const pid of pids) sendSignal(pid, 'SIGKILL');
    // Version 1 reports an empty cgroup by no file that can be waited on.
    await delay(wait);
  }
}

/**
 * Removes a container's empty cgroups from every hierarchy; false when one stays busy. Also removes what the runtime
 * left on the memory file system that hides the second one.
 */
export async function removeCgroups(group: string, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  for (const directory of cgroupDirectories(group)) {
    if (statfsSync(directory).type === TMPFS_MAGIC) {
      rmSync(directory, { recursive: true, force: true });
      continue;
    }
    while (!removeTree(directory)) {
      if (performance.now() > end) return false;
      await delay(2);
    }
  }
  return true;
}

/** Whether there is one in any hierarchy, with processes or without. */
export function hasCgroup(group: string): boolean {
  return cgroupDirectories(group).length > 0;
}

function cgroupDirectories(group: string): string[] {
  return hierarchies()
    .map((hierarchy) => hierarchy + group)
    .filter((directory) => existsSync(directory));
}

/**
 * The mounted hierarchies: the root itself with version 2, its directories with version 1 (links such as
 * `cpu → cpu,cpuacct` left out).
 */
function hierarchies(): string[] {
  if (statfsSync(ROOT).type === CGROUP2_MAGIC) return [ROOT];
  return listDirectories(ROOT).map((name) => `${ROOT}/${name}`);
}

function processesBelow(directory: string): number[] {
  const own = readOrEmpty(`${directory}/cgroup.procs`)
    .split('\n')
    .filter((line) => line !== '' && line !== '0')
    .map(Number);
  return [...own, ...listDirectories(directory).flatMap((name) => processesBelow(`${directory}/${name}`))];
}

/** Bottom up; false while the kernel still counts a dying process. */
function removeTree(directory: string): boolean {
  const emptied = listDirectories(directory).every((name) => removeTree(`${directory}/${name}`));
  if (!emptied) return false;
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return true;
    if (code === 'EBUSY') return false;
    throw error;
  }
}

function listDirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
