/**
 * The cgroup of processes that outlive the one that starts them: what ends an agent may end all that is in its group
 * (Docker with a container, systemd with a unit).
 *
 * Depends on: cgroups(7); with version 1, that `cpuset` takes no process before the group has processors and memory.
 * Seen with Linux 6.18, hybrid.
 * Noticed by: outliving-group.int-spec.ts; agent-group.int-spec.ts.
 * Instead: nothing; without it they end with the agent where all of its group is ended.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { hasCode } from '@plinth/host-os';
import { cgroupHierarchies, cgroupLayout, CGROUPS } from './cgroup-tree.js';

/** Another process may remove the group while it is empty. */
const TRIES = 5;
const PROCESSES = 'cgroup.procs';
const CPUSET_FILES = ['cpuset.cpus', 'cpuset.mems'] as const;

/** @param instance of the runtime whose monitors are in it */
export function monitorGroup(instance: string): OutlivingGroup {
  return new OutlivingGroup(`/plinth-monitors.${instance}`);
}

export class OutlivingGroup {
  /** @param path below the root of each hierarchy, beside the groups of containers */
  constructor(readonly path: string) {}

  /**
   * Takes a process out of every group that is not the root of its hierarchy: a process in the root is ended by
   * itself only, and limited by nothing. Nothing when the process has ended.
   * @throws when a group can't be made or entered
   */
  async take(pid: number): Promise<void> {
    await Promise.all(hierarchiesToLeave(groupsOf(pid), this.path, unified()).map((root) => this.enter(root, pid)));
  }

  /** Takes this process out of it, and removes it when that was the last one. */
  leave(): void {
    const inside = hierarchiesWith(groupsOf('self'), this.path, unified());
    for (const root of inside) writeFileSync(`${root}/${PROCESSES}`, String(process.pid), { flag: 'r+' });
    this.remove();
  }

  /** Where no process is in it. */
  remove(): void {
    for (const root of cgroupHierarchies())
      try {
        rmdirSync(root + this.path);
      } catch (error) {
        if (!hasCode(error, 'ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS')) throw error;
      }
  }

  private async enter(root: string, pid: number): Promise<void> {
    for (let tries = 1; ; tries += 1)
      try {
        this.make(root);
        return await writeFile(`${root}${this.path}/${PROCESSES}`, String(pid), { flag: 'r+' });
      } catch (error) {
        if (hasCode(error, 'ESRCH')) return;
        if (!hasCode(error, 'ENOENT', 'ENODEV') || tries === TRIES) throw error;
      }
  }

  private make(root: string): void {
    const directory = root + this.path;
    mkdirSync(directory, { recursive: true });
    for (const file of CPUSET_FILES)
      if (existsSync(`${root}/${file}`) && readFileSync(`${directory}/${file}`, 'utf8').trim() === '')
        writeFileSync(`${directory}/${file}`, readFileSync(`${root}/${file}`), { flag: 'r+' });
  }
}

/**
 * Pure: the roots of the hierarchies in which a process is in a group that is neither the root nor `group`.
 * @param text of /proc/<pid>/cgroup
 * @param root of the hierarchy of version 2, where it can be reached
 */
export function hierarchiesToLeave(text: string, group: string, root: string | undefined): readonly string[] {
  return placesIn(text, root).flatMap(({ hierarchy, path }) => (path === '/' || path === group ? [] : [hierarchy]));
}

/** Pure: the roots of the hierarchies in which it is in `group`. */
export function hierarchiesWith(text: string, group: string, root: string | undefined): readonly string[] {
  return placesIn(text, root).flatMap(({ hierarchy, path }) => (path === group ? [hierarchy] : []));
}

function placesIn(text: string, root: string | undefined): readonly { hierarchy: string; path: string }[] {
  return text.split('\n').flatMap((line) => {
    // `5:cpu,cpuacct:/a`, `1:name=systemd:/a`; version 2: `0::/a`.
    const [, controllers = '', path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers !== '') return [{ hierarchy: `${CGROUPS}/${controllers.replace(/^name=/, '')}`, path }];
    return root === undefined ? [] : [{ hierarchy: root, path }];
  });
}

/** Without hierarchies that are not mounted. */
function groupsOf(pid: number | 'self'): string {
  try {
    const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    const isMounted = (line: string): boolean =>
      placesIn(line, CGROUPS).every(({ hierarchy }) => existsSync(hierarchy));
    return text.split('\n').filter(isMounted).join('\n');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}

/** Where it is hidden from the runtime, processes are in its root already (private-mount-namespace.ts). */
function unified(): string | undefined {
  const layout = cgroupLayout();
  if (layout === 'legacy') return undefined;
  return layout === 'unified' ? CGROUPS : `${CGROUPS}/unified`;
}
