/** What of a stack is still on the machine: processes, mounts in any namespace, cgroups. */
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  cgroupHierarchies,
  directoriesIn,
  isAlive,
  isBelow,
  mountTargets,
  processIds,
  readProcess,
} from '@plinth/local-servers';
import type { RunningService } from './stack-file.js';

/**
 * One line for people each; empty when nothing is left.
 * @param data whether the data is to go too: then a file system of a person's is in the way
 */
export function findLeftovers(home: string, services: readonly RunningService[], data: boolean): string[] {
  const left = new Set<string>();
  for (const service of services) {
    if (isAlive({ pid: service.pid, startTime: service.pidStartTime }))
      left.add(`process ${service.pid} (${service.id})`);
  }
  const known = new Set(services.map((service) => service.pid));
  for (const pid of processIds()) {
    // conmon and the guard are started with paths below the home; a container's or a build's mounts lie below it.
    const words = readProcess(pid, 'cmdline').split('\0');
    const [program = ''] = words;
    const isOurs = program.endsWith('conmon') || words.some((word) => word.endsWith('lease-guard.js'));
    if (!known.has(pid) && isOurs && words.some((word) => isBelow(word, home))) left.add(`process ${pid} (${program})`);
    for (const target of mountsBelow(readProcess(pid, 'mountinfo'), home))
      if (data || !isOfPerson(target, home)) left.add(`mount ${target}`);
  }
  for (const directory of containerCgroups(home)) left.add(`cgroup ${directory}`);
  return [...left];
}

/** Pure: mount points at or below the home in the text of a mountinfo file, proc(5). */
export function mountsBelow(mountinfo: string, home: string): string[] {
  return mountTargets(mountinfo).filter((target) => isBelow(target, home));
}

/** A disk of its own for the home or for a storage node, which services never mount. Pure. */
export function isOfPerson(mount: string, home: string): boolean {
  return mount === home || dirname(mount) === join(home, 'storage');
}

/**
 * Cgroups of this home's containers. The parent `plinth` is shared by all stacks of a machine: it goes when it is
 * empty, and other stacks' groups below it are left alone even when empty, for a container may just be entering one.
 */
function containerCgroups(home: string): string[] {
  const hosts = directoriesIn(join(home, 'hosts')).map((host) => join(home, 'hosts', host));
  const ids = new Set(
    hosts
      .flatMap((host) => [...namesIn(join(host, 'containers')), ...namesIn(join(host, 'runtime', 'bundles'))])
      .map((name) => name.split('.')[0]),
  );
  const left: string[] = [];
  for (const hierarchy of cgroupHierarchies()) {
    for (const parent of directoriesIn(hierarchy).filter((name) => name.startsWith('plinth'))) {
      const group = join(hierarchy, parent);
      left.push(
        ...directoriesIn(group)
          .filter((name) => ids.has(name.split('.')[0]))
          .map((name) => join(group, name)),
      );
      removeIfEmpty(group);
    }
  }
  return left;
}

function removeIfEmpty(group: string): void {
  try {
    rmdirSync(group);
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}

function namesIn(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}
