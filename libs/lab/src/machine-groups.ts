/** The cgroups of a lab's machines: `<hierarchy>/plinth-lab-<id>/<machine>`, of version 1. */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CGROUPS, directoriesIn } from '@plinth/local-servers';
import { LabError } from './plan.js';

const PAUSE_MS = 5;
const PATIENCE_MS = 20_000;
/** A machine has only hierarchies of version 1: crun refuses both versions side by side. */
const SECOND_VERSION = 'unified';

/** Names below /sys/fs/cgroup. @throws LabError */
export function hierarchies(): readonly string[] {
  const found = directoriesIn(CGROUPS).filter(
    (name) => name !== SECOND_VERSION && existsSync(join(CGROUPS, name, 'cgroup.procs')),
  );
  if (!found.includes('freezer') || existsSync(join(CGROUPS, 'cgroup.controllers')))
    throw new LabError(
      'the machines of a lab need cgroups of version 1 (systemd.unified_cgroup_hierarchy=0 on the kernel command line)',
    );
  return found;
}

/** Other names of hierarchies, such as `cpu` for `cpu,cpuacct`. */
export function hierarchyLinks(): readonly { readonly name: string; readonly target: string }[] {
  return readdirSync(CGROUPS, { withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map(({ name }) => ({ name, target: readlinkSync(join(CGROUPS, name)) }));
}

const labGroup = (hierarchy: string, lab: string): string => join(CGROUPS, hierarchy, `plinth-lab-${lab}`);

export function groupsOf(lab: string, machine: string): readonly string[] {
  return hierarchies().map((hierarchy) => join(labGroup(hierarchy, lab), machine));
}

export function makeGroups(lab: string, machine: string): void {
  for (const group of groupsOf(lab, machine)) mkdirSync(group, { recursive: true });
  const own = labGroup('cpuset', lab);
  // Of version 1 a new group has no processors, and takes no process before it has.
  if (existsSync(own))
    for (const [parent, group] of [
      [join(CGROUPS, 'cpuset'), own],
      [own, join(own, machine)],
    ] as const)
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        writeFileSync(join(group, file), readFileSync(join(parent, file)));
}

/** Resolves when every process of the machine stands still, or may go on. */
export async function setFrozen(lab: string, machine: string, frozen: boolean): Promise<void> {
  const file = join(labGroup('freezer', lab), machine, 'freezer.state');
  const wanted = frozen ? 'FROZEN' : 'THAWED';
  for (const end = performance.now() + PATIENCE_MS; ; await pause(PAUSE_MS)) {
    // A process that was being created is frozen by a second order only.
    writeFileSync(file, wanted);
    if (readFileSync(file, 'utf8').trim() === wanted) return;
    if (performance.now() > end)
      throw new LabError(`${machine} did not become ${wanted} within ${PATIENCE_MS / 1000} s`);
  }
}

export function isFrozen(lab: string, machine: string): boolean {
  const file = join(labGroup('freezer', lab), machine, 'freezer.state');
  return existsSync(file) && readFileSync(file, 'utf8').trim() !== 'THAWED';
}

/**
 * Removes the groups of a machine, or of all of the lab, as soon as the kernel lets them go.
 * @throws LabError when processes are still in them
 */
export async function removeGroups(lab: string, machine = ''): Promise<void> {
  for (const hierarchy of directoriesIn(CGROUPS)) {
    const group = join(labGroup(hierarchy, lab), machine);
    for (const end = performance.now() + PATIENCE_MS; !isRemoved(group); await pause(PAUSE_MS))
      if (performance.now() > end) throw new LabError(`${group} still has processes: ${processesIn(group).join(' ')}`);
  }
}

/** Depth first. */
function isRemoved(group: string): boolean {
  for (const child of directoriesIn(group)) if (!isRemoved(join(group, child))) return false;
  try {
    rmdirSync(group);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return false;
    if (code !== 'ENOENT') throw error;
  }
  return true;
}

/** Pids in a group and below it, as this machine counts them. */
export function processesIn(group: string): readonly string[] {
  const file = join(group, 'cgroup.procs');
  const own = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  return [...own, ...directoriesIn(group).flatMap((child) => processesIn(join(group, child)))];
}
