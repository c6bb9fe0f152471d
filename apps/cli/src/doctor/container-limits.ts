/** How many idle containers a machine holds, and which resource ends first. Pure. */

/** What is left of each resource; undefined: the machine has no such limit, or does not report it. */
export interface MachineReadings {
  readonly availableMemoryBytes?: number;
  /** Process ids that are free, kernel.pid_max. */
  readonly pids?: number;
  /** kernel.threads-max. */
  readonly threads?: number;
  /** pids.max of this session's own cgroup and those above it: monitors count in the cgroup of their agent. */
  readonly cgroupPids?: number;
  /** fs.file-max, of the whole machine. */
  readonly openFiles?: number;
  /** RLIMIT_NOFILE of one process. */
  readonly descriptors?: number;
  /** kernel.keys.root_maxkeys. */
  readonly keys?: number;
  /** kernel.keys.root_maxbytes. */
  readonly keyBytes?: number;
  /** The smallest of user.max_{cgroup,ipc,mnt,net,pid,user,uts}_namespaces, and its name. */
  readonly namespaces?: { readonly left: number; readonly setting: string };
  /** Ranges of user ids that no container of this machine has. */
  readonly idRanges?: number;
  /** The kernel numbers memory cgroups with 16 bits. */
  readonly memoryCgroups?: number;
  /** fs.mount-max, of each mount namespace. */
  readonly mounts?: number;
  readonly runBytes?: number;
  readonly runInodes?: number;
  readonly stateBytes?: number;
  readonly stateInodes?: number;
  /** fs.inotify.max_user_instances where each monitor takes one, which is with cgroups of version 2. */
  readonly inotifyInstances?: number;
  /** fs.inotify.max_user_instances: those of all containers count together, whatever users they have. */
  readonly inotifyInstancesOfAll?: number;
  /** What the agents of this machine accept: PLINTH_CAPACITY_CONTAINERS. */
  readonly agentCapacity?: number;
}

export interface ContainerLimit {
  readonly resource: string;
  /** Idle containers for which it suffices; null: any number. */
  readonly fits: number | null;
  /** What is left of it. */
  readonly left: number;
  /** What one container takes; 0: a container takes none, and `needed` is for the agent. */
  readonly each: number;
  readonly unit: 'bytes' | '';
  /** What to set to raise it. */
  readonly raise: string;
  /** What happens beyond it. */
  readonly beyond: string;
  /** Beyond it containers still start. */
  readonly soft: boolean;
}

export interface ContainerRoom {
  /** null: no known limit. */
  readonly fits: number | null;
  readonly firstLimit: string | null;
  /** Fewest containers first. */
  readonly limits: readonly ContainerLimit[];
}

interface Demand extends Pick<ContainerLimit, 'resource' | 'each' | 'raise'> {
  readonly left: (readings: MachineReadings) => number | undefined;
  /** What is needed for any number of containers. */
  readonly needed?: number;
  readonly bytes?: true;
  readonly beyond?: string;
  readonly soft?: true;
}

const KIB = 1024;
const STARTS_FAIL = 'starts fail';

/**
 * What one idle container takes, as `npm run bench:scale` and `bench:density` measured it, rounded up. Two processes:
 * its first one and its monitor.
 */
const DEMANDS: readonly Demand[] = [
  {
    resource: 'memory',
    left: (it) => it.availableMemoryBytes,
    each: 512 * KIB,
    bytes: true,
    raise: 'more memory',
    beyond: 'the kernel ends processes',
  },
  { resource: 'process ids', left: (it) => it.pids, each: 2, raise: 'sysctl kernel.pid_max (up to 4194304)' },
  { resource: 'threads', left: (it) => it.threads, each: 2, raise: 'sysctl kernel.threads-max' },
  {
    resource: 'pids of the cgroup',
    left: (it) => it.cgroupPids,
    needed: 100,
    each: 1,
    raise: 'TasksMax=infinity in the unit of the agent',
  },
  { resource: 'open files', left: (it) => it.openFiles, needed: 1000, each: 48, raise: 'sysctl fs.file-max' },
  {
    resource: 'descriptors of a process',
    left: (it) => it.descriptors,
    needed: 512,
    each: 0,
    raise: 'LimitNOFILE=65536 in the unit of the agent, or ulimit -n',
  },
  { resource: 'keys', left: (it) => it.keys, each: 1, raise: 'sysctl kernel.keys.root_maxkeys' },
  {
    resource: 'bytes of keys',
    left: (it) => it.keyBytes,
    each: 64,
    bytes: true,
    raise: 'sysctl kernel.keys.root_maxbytes',
  },
  { resource: 'namespaces', left: (it) => it.namespaces?.left, each: 1, raise: 'sysctl user.max_*_namespaces' },
  {
    resource: 'ranges of user ids',
    left: (it) => it.idRanges,
    each: 1,
    raise: 'no setting: as many as the host has for containers',
  },
  {
    resource: 'memory cgroups',
    left: (it) => it.memoryCgroups,
    each: 1,
    raise: 'no setting: the kernel numbers them with 16 bits',
  },
  {
    resource: 'mounts of a namespace',
    left: (it) => it.mounts,
    needed: 1000,
    each: 0,
    raise: 'sysctl fs.mount-max',
  },
  {
    resource: '/run, space',
    left: (it) => it.runBytes,
    each: 48 * KIB,
    bytes: true,
    raise: 'mount -o remount,size=… /run',
  },
  { resource: '/run, inodes', left: (it) => it.runInodes, each: 6, raise: 'mount -o remount,nr_inodes=… /run' },
  {
    resource: 'disk',
    left: (it) => it.stateBytes,
    each: 128 * KIB,
    bytes: true,
    raise: 'a larger disk; PLINTH_HOME moves to it',
  },
  { resource: 'disk, inodes', left: (it) => it.stateInodes, each: 24, raise: 'a file system with more inodes' },
  {
    resource: 'inotify instances',
    left: (it) => it.inotifyInstances,
    needed: 28,
    each: 1,
    raise: 'sysctl fs.inotify.max_user_instances',
    beyond: 'exits are noticed a second late',
    soft: true,
  },
  {
    resource: 'inotify, with systemd',
    left: (it) => it.inotifyInstancesOfAll,
    needed: 28,
    each: 6,
    raise: 'sysctl fs.inotify.max_user_instances',
    beyond: 'systemd in a container is degraded',
    soft: true,
  },
  {
    resource: 'capacity of the agent',
    left: (it) => it.agentCapacity,
    each: 1,
    raise: 'PLINTH_CAPACITY_CONTAINERS',
    beyond: 'nothing more is placed here',
  },
];

export function containerRoom(readings: MachineReadings): ContainerRoom {
  const limits = DEMANDS.flatMap((demand) => {
    const left = demand.left(readings);
    return left === undefined ? [] : [limitOf(demand, Math.max(0, left), readings)];
  }).sort((a, b) => (a.fits ?? Infinity) - (b.fits ?? Infinity));
  const first = limits.find((limit) => !limit.soft && limit.fits !== null);
  return { fits: first?.fits ?? null, firstLimit: first?.resource ?? null, limits };
}

function limitOf(demand: Demand, left: number, { namespaces }: MachineReadings): ContainerLimit {
  const { resource, each, needed = 0, raise } = demand;
  const enough = left >= needed;
  const named = resource === 'namespaces' && namespaces !== undefined ? `sysctl ${namespaces.setting}` : raise;
  return {
    resource,
    fits: each > 0 ? Math.max(0, Math.floor((left - needed) / each)) : enough ? null : 0,
    left,
    each,
    unit: demand.bytes === true ? 'bytes' : '',
    raise: named,
    beyond: demand.beyond ?? STARTS_FAIL,
    soft: demand.soft ?? false,
  };
}

/** As a table for people, one line for each limit. */
export function roomLines(room: ContainerRoom): readonly string[] {
  const rows = room.limits.map((limit) => [
    limit.resource,
    limit.fits === null ? 'any' : String(limit.fits),
    amount(limit.left, limit.unit),
    limit.each === 0 ? '-' : amount(limit.each, limit.unit),
    limit.fits === null ? '-' : limit.soft ? `${limit.raise} (beyond: ${limit.beyond})` : limit.raise,
  ]);
  const table = [['resource', 'containers', 'left', 'each', 'to raise it'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)));
  return table.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function amount(value: number, unit: ContainerLimit['unit']): string {
  if (unit === '') return String(value);
  if (value >= KIB ** 3) return `${(value / KIB ** 3).toFixed(1)} GiB`;
  if (value >= KIB ** 2) return `${(value / KIB ** 2).toFixed(1)} MiB`;
  return value >= 10 * KIB ? `${Math.round(value / KIB)} KiB` : `${value} B`;
}
