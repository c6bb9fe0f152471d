/** What of a stack is still on the machine: processes, mounts in any namespace, cgroups. */
import { type Dirent, existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '@plinth/local-servers';
import type { RunningService } from './stack-file.js';

const CGROUPS = '/sys/fs/cgroup';

/** One line for people each; empty when nothing is left. */
export function findLeftovers(home: string, services: readonly RunningService[]): string[] {
  const left = new Set<string>();
  for (const service of services) {
    if (isAlive({ pid: service.pid, startTime: service.pidStartTime })) left.add(`process ${service.pid} (${service.id})`);
  }
  const known = new Set(services.map((service) => service.pid));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // conmon is started with paths below the home; a container's or a build's mounts lie below it.
    const words = readProcess(pid, 'cmdline').split('\0');
    const [program = ''] = words;
    if (!known.has(Number(pid)) && program.endsWith('conmon') && words.some((word) => isBelow(word, home))) left.add(`process ${pid} (${program})`);
    for (const target of mountsBelow(readProcess(pid, 'mountinfo'), home)) left.add(`mount ${target}`);
  }
  for (const directory of occupiedCgroups()) left.add(`cgroup ${directory}`);
  return [...left];
}

/** Pure: mount points at or below the home in the text of a mountinfo file, proc(5). */
export function mountsBelow(mountinfo: string, home: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((target) => isBelow(target, home));
}

function isBelow(path: string, home: string): boolean {
  return path === home || path.startsWith(`${home}/`);
}

function readProcess(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    // It ended meanwhile, or has no namespace of its own any more.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EINVAL', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** Removes the empty `plinth*` groups of every hierarchy. @returns those that stay though no other stack's agent is on the machine */
function occupiedCgroups(): string[] {
  const hierarchies = existsSync(join(CGROUPS, 'cgroup.controllers')) ? [CGROUPS] : directoriesIn(CGROUPS).map((name) => join(CGROUPS, name));
  const groups = hierarchies.flatMap((hierarchy) => directoriesIn(hierarchy).filter((name) => name.startsWith('plinth')).map((name) => join(hierarchy, name)));
  const stay = groups.filter((group) => !removeEmptyTree(group));
  return stay.length > 0 && otherAgents() ? [] : stay;
}

/** Bottom up; processes keep a group. */
function removeEmptyTree(group: string): boolean {
  for (const child of directoriesIn(group)) removeEmptyTree(join(group, child));
  try {
    rmdirSync(group);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOENT') return true;
    if (['EBUSY', 'ENOTEMPTY', 'EROFS', 'EPERM'].includes(code)) return false;
    throw error;
  }
}

/** Agents share the parent group; a second stack's containers are not this one's leftovers. */
function otherAgents(): boolean {
  return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && readProcess(pid, 'environ').split('\0').some((line) => line.startsWith('PLINTH_HOST_DIR=')));
}

function directoriesIn(path: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
