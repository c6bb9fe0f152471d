/**
 * Processor time of programs that leave daemons, by cgroup: user and system time of all that ran in it, also of what has
 * ended. What the kernel does for them elsewhere (its own threads, interrupts) is in no group.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cgroupVersion } from '@plinth/container-runtime';

const CGROUPS = '/sys/fs/cgroup';
/** linux/magic.h */
const TMPFS_MAGIC = 0x0102_1994;
const ENTER = 'echo $$ > "$0" && exec "$@"';

/** Where time is counted. */
const hierarchy = (): string => (cgroupVersion() === 2 ? CGROUPS : join(CGROUPS, 'cpuacct'));

/** The program's arguments, so that it and its children are in the group. */
export function inGroup(group: string, argv: readonly string[]): readonly string[] {
  return ['sh', '-c', ENTER, membersOf(group), ...argv];
}

/** They and their future children. */
export function moveToGroup(group: string, pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(membersOf(group), String(pid));
}

export function pidsOfGroup(group: string): readonly number[] {
  return readFileSync(membersOf(group), 'utf8').split('\n').filter(Boolean).map(Number);
}

/** File of a group, which is made if it is missing. */
function membersOf(group: string): string {
  const directory = join(hierarchy(), group);
  mkdirSync(directory, { recursive: true });
  return join(directory, 'cgroup.procs');
}

/** Of a cgroup and all below it, ms. */
export function processorMsOf(group: string): number {
  const directory = join(hierarchy(), group);
  if (cgroupVersion() === 1) return Number(readFileSync(join(directory, 'cpuacct.usage'), 'utf8')) / 1e6;
  return Number(/^usage_usec (\d+)$/m.exec(readFileSync(join(directory, 'cpu.stat'), 'utf8'))?.[1]) / 1e3;
}

/** Kills what is in it. Nothing is thrown for a group that stays busy for 10 s: what is in it can't be killed. */
export function removeGroup(group: string): void {
  const roots = cgroupVersion() === 2 ? [CGROUPS] : readdirSync(CGROUPS).map((name) => join(CGROUPS, name));
  const directories = roots.filter((root) => !isMemory(root)).map((root) => join(root, group));
  for (const root of roots) if (isMemory(root)) rmSync(join(root, group), { recursive: true, force: true });
  for (const end = performance.now() + 10_000; performance.now() < end;)
    if (directories.map((directory) => removedTree(directory, group)).every(Boolean)) return;
}

/** What hides cgroups of version 2 from crun, which takes it for one more hierarchy. */
const isMemory = (root: string): boolean => statfsSync(root).type === TMPFS_MAGIC;

function removedTree(directory: string, group: string): boolean {
  if (!existsSync(directory)) return true;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removedTree(join(directory, entry.name), group);
    for (const pid of readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n')) endMember(pid, group);
    rmdirSync(directory);
    return true;
  } catch (error) {
    // A process is still ending, or has ended since.
    if (['EBUSY', 'ESRCH', 'ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

/** Version 1 serves a list that may be a second old: the pid may be that of another process. */
function endMember(pid: string, group: string): void {
  if (Number(pid) > 0 && readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`${group}/`))
    process.kill(Number(pid), 'SIGKILL');
}

/** Time of the cgroups of a stack's containers, ms. */
export function processorMsOfContainers(ids: readonly string[]): number {
  const names = readdirSync(hierarchy());
  return ids.reduce((sum, id) => {
    const name = names.find((each) => each.startsWith(`plinth-${id}.`)) ?? `plinth-${id}`;
    return sum + processorMsOf(`/${name}`);
  }, 0);
}
