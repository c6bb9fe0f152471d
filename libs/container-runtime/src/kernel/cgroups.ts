/**
 * Depends on: cgroups of version 1 and 2 as cgroups(7) and the kernel's documentation describe them, and on this of
 * their inner workings: version 1 serves the list of a cgroup's processes from a copy up to a second old, and reports
 * an empty cgroup by no file that can be waited on. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, "is removed whole, whenever its starter was killed".
 * Instead: every pid is checked against /proc, and removal goes on until the kernel agrees.
 */
import { existsSync, readFileSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '@plinth/host-os';
import { cgroupFile, cgroupHierarchies, cgroupsFrom, cgroupVersion } from './cgroup-tree.js';
import { processStartTime, sendSignal } from './process-table.js';

/** statfs(2) f_type of tmpfs (linux/magic.h). */
const TMPFS_MAGIC = 0x0102_1994;
/** Of a path in /proc/<pid>/cgroup that is longer than a page of the kernel's. */
const TOO_LONG = 'ENAMETOOLONG';
const PROCESSES = Buffer.from('/cgroup.procs');

/**
 * Living processes in a container's cgroup (see cgroupPath), below it included; empty when there is no such cgroup.
 * Version 1 serves a list that is up to a second old, and older when it is read again meanwhile, so each is checked
 * against /proc: dead processes would stay listed, and a pid may belong to another process by now.
 */
export function cgroupProcesses(group: string): readonly number[] {
  const listed = new Set(cgroupDirectories(group).flatMap(processesFrom));
  return [...listed].filter((pid) => processStartTime(pid) !== undefined && isIn(group, pid));
}

/** One whose path is too long to be read is in a group that a container has made: it was listed there. */
function isIn(group: string, pid: number): boolean {
  try {
    return readOrEmpty(`/proc/${pid}/cgroup`).includes(group);
  } catch (error) {
    if (hasCode(error, TOO_LONG)) return true;
    throw error;
  }
}

/**
 * Kills every process of a container and waits until none is left. False: some are still there after `deadlineMs`
 * (uninterruptible sleep).
 */
export async function killCgroup(group: string, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  const version = cgroupVersion();
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    const pids = cgroupProcesses(group);
    if (pids.length === 0) return true;
    if (performance.now() > end) return false;
    if (version === 1 || !killAtOnce(group)) for (const pid of pids) sendSignal(pid, 'SIGKILL');
    // Version 1 reports an empty cgroup by no file that can be waited on.
    await delay(wait);
  }
}

/** Also processes that are being forked. False: the kernel is older than 5.14. */
function killAtOnce(group: string): boolean {
  try {
    writeFileSync(cgroupFile(2, '', group, 'cgroup.kill'), '1', { flag: 'r+' });
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
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
  return cgroupHierarchies()
    .map((hierarchy) => hierarchy + group)
    .filter((directory) => existsSync(directory));
}

function processesFrom(directory: string): number[] {
  const pids: number[] = [];
  for (const { inside } of cgroupsFrom(directory)) {
    // `0`: a process that this one's namespace of pids does not show.
    const lines = readOrEmpty(Buffer.concat([inside, PROCESSES])).split('\n');
    for (const line of lines) if (line !== '' && line !== '0') pids.push(Number(line));
  }
  return pids;
}

/** Bottom up; false while the kernel still counts a dying process. */
function removeTree(directory: string): boolean {
  for (const { entry } of cgroupsFrom(directory)) if (!isRemoved(entry)) return false;
  return true;
}

function isRemoved(directory: Buffer): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    if (hasCode(error, 'EBUSY')) return false;
    throw error;
  }
}

/** EOPNOTSUPP: a threaded group, whose processes the group above lists. */
function readOrEmpty(path: string | Buffer): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV', 'ESRCH', 'EOPNOTSUPP', 'ENOTSUP')) return '';
    throw error;
  }
}
