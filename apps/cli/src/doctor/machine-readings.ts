/** Reads what this machine has left of the resources that containers take. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { freeIdRanges } from '@plinth/container-runtime';
import type { MachineReadings } from './container-limits.js';

const CGROUPS = '/sys/fs/cgroup';
const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
/** mm/memcontrol.c: MEM_CGROUP_ID_MAX */
const MOST_MEMORY_CGROUPS = 65_535;
/** The agent's default. */
const AGENT_CAPACITY = 4_000;

/** @param home where the state of containers is kept; need not exist yet */
export function readMachine(home: string, environment: NodeJS.ProcessEnv): MachineReadings {
  const tasks = numberIn('/proc/loadavg', /\/(\d+) /) ?? 0;
  const files = read('/proc/sys/fs/file-nr')?.trim().split(/\s+/).map(Number);
  const keys = /^\s*0:\s+\d+ \d+\/\d+ (\d+)\/(\d+) (\d+)\/(\d+)/m.exec(read('/proc/key-users') ?? '')?.map(Number);
  const run = room('/run');
  const state = room(home);
  const memoryCgroups = numberIn('/proc/cgroups', /^memory\s+\d+\s+(\d+)/m);
  return {
    availableMemoryBytes: times(1024, numberIn('/proc/meminfo', /^MemAvailable:\s+(\d+)/m)),
    pids: minus(setting('kernel/pid_max'), tasks),
    threads: minus(setting('kernel/threads-max'), tasks),
    cgroupPids: cgroupPids(),
    openFiles: minus(files?.[2], files?.[0]),
    descriptors: numberIn('/proc/self/limits', /^Max open files\s+(\d+)/m),
    keys: minus(keys?.[2], keys?.[1]),
    keyBytes: minus(keys?.[4], keys?.[3]),
    namespaces: namespaces(),
    idRanges: freeIdRanges(),
    memoryCgroups: minus(MOST_MEMORY_CGROUPS, memoryCgroups),
    mounts: setting('fs/mount-max'),
    runBytes: run.bytes,
    runInodes: run.inodes,
    stateBytes: state.bytes,
    stateInodes: state.inodes,
    // With version 1 a monitor takes an eventfd instead.
    inotifyInstances: isUnified() ? setting('fs/inotify/max_user_instances') : undefined,
    inotifyInstancesOfAll: setting('fs/inotify/max_user_instances'),
    agentCapacity: Number(environment['PLINTH_CAPACITY_CONTAINERS'] ?? AGENT_CAPACITY),
  };
}

function isUnified(): boolean {
  return existsSync(`${CGROUPS}/cgroup.controllers`);
}

/** The least that is left in this process's cgroup and those above; undefined when none has a limit. */
function cgroupPids(): number | undefined {
  const own = isUnified() ? /^0::(.*)$/m : /^\d+:(?:.*,)?pids(?:,.*)?:(.*)$/m;
  const root = isUnified() ? CGROUPS : `${CGROUPS}/pids`;
  const left: number[] = [];
  for (let path = own.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? '/'; path !== '/'; path = dirname(path)) {
    const most = numberIn(`${root}${path}/pids.max`, /^(\d+)$/m);
    if (most !== undefined) left.push(most - (numberIn(`${root}${path}/pids.current`, /^(\d+)$/m) ?? 0));
  }
  return left.length > 0 ? Math.min(...left) : undefined;
}

function namespaces(): MachineReadings['namespaces'] {
  const [least] = NAMESPACES.flatMap((kind) => {
    const left = setting(`user/max_${kind}_namespaces`);
    return left === undefined ? [] : [{ left, setting: `user.max_${kind}_namespaces` }];
  }).sort((a, b) => a.left - b.left);
  return least;
}

/** Free space and inodes of the file system of a directory, or of the nearest one above that exists. */
function room(directory: string): { readonly bytes: number; readonly inodes?: number } {
  let at = directory;
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize, ffree, files } = statfsSync(at);
  // File systems that make inodes as they are needed count none.
  return { bytes: bavail * bsize, ...(files > 0 && { inodes: ffree }) };
}

function setting(name: string): number | undefined {
  return numberIn(`/proc/sys/${name}`, /^(\d+)$/m);
}

function numberIn(path: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(read(path) ?? '')?.[1];
  return found === undefined ? undefined : Number(found);
}

/** undefined: this kernel has no such file. */
function read(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function minus(limit: number | undefined, used: number | undefined): number | undefined {
  return limit === undefined ? undefined : limit - (used ?? 0);
}

function times(factor: number, value: number | undefined): number | undefined {
  return value === undefined ? undefined : value * factor;
}
