/**
 * What a limit is in the files of a container's cgroup, and what the kernel's files about limits mean. Pure.
 *
 * Depends on: the kernel's documentation of cgroups of version 1 and 2, and conversions of crun 1.8 for version 2.
 */
import { cpuShares, cpuWeight } from '../spec/processor-share.js';
import type { IoResources, ResourceLimits } from '../spec/container-spec.js';
import type { CgroupVersion } from './cgroup-tree.js';

const CPU_PERIOD_US = 100_000;

/** Groups that an init makes below its own; systemd's lie five deep. */
const INIT_GROUPS = { depth: 32, descendants: 1_000 };

export type ChangedLimit = 'memory' | 'cpus' | 'pids' | 'io';

/** A text that goes into a file of a controller. */
export interface LimitFile {
  readonly controller: string;
  readonly file: string;
  readonly text: string;
}

/** One that holds a limit. */
export interface Setting extends LimitFile {
  readonly limit: ChangedLimit;
}

/** Numbers of a whole disk. */
export interface Disk {
  readonly major: number;
  readonly minor: number;
}

export interface LimitEvents {
  /** Processes that were killed because the memory limit was reached. */
  readonly memoryKills: number;
  /** Processes and threads that were refused because there were as many as the limit allows. */
  readonly refusedForks: number;
}

export interface CpuThrottling {
  /** Periods of 100 ms in which it had to wait for the next one. */
  readonly periods: number;
  readonly waitedMs: number;
}

/** What a container's cgroup is like when its limits are changed. */
export interface PresentCgroup {
  readonly version: CgroupVersion;
  /** See sharesOfProcessor. */
  readonly ofOne?: number;
  /** Of which a limit is taken away where none is asked for. */
  readonly disks: readonly Disk[];
  /** Its limit of memory, bytes. */
  readonly memoryBytes: number;
  /** Whether the kernel has a file of a controller for it. */
  readonly has: (controller: string, file: string) => boolean;
}

/** In the order in which they are written. */
export function limitFiles(limits: ResourceLimits, present: PresentCgroup): Setting[] {
  return present.version === 2 ? unified(limits, present) : separate(limits, present);
}

function separate({ memoryBytes, cpus, pids, io }: ResourceLimits, present: PresentCgroup): Setting[] {
  const throttle = (file: string, rate: number | undefined): Setting[] =>
    present.has('blkio', `blkio.throttle.${file}`)
      ? present.disks.flatMap(({ major, minor }) =>
          one('io', 'blkio', `blkio.throttle.${file}`, `${major}:${minor} ${rate ?? 0}`),
        )
      : [];
  return [
    ...(memoryBytes === undefined ? [] : memoryFiles(memoryBytes, present)).flatMap((file) =>
      one('memory', 'memory', file, memoryBytes),
    ),
    ...one('cpus', 'cpu', 'cpu.cfs_quota_us', cpus && quotaOf(cpus)),
    ...one('cpus', 'cpu', 'cpu.shares', cpus && cpuShares(cpus, present.ofOne)),
    ...one('pids', 'pids', 'pids.max', pids),
    ...throttle('read_bps_device', io?.readBytesPerSecond),
    ...throttle('write_bps_device', io?.writeBytesPerSecond),
    ...throttle('read_iops_device', io?.readOperationsPerSecond),
    ...throttle('write_iops_device', io?.writeOperationsPerSecond),
    ...weightIn('blkio', ['blkio.weight', 'blkio.bfq.weight'], io, present),
  ];
}

function unified({ memoryBytes, cpus, pids, io }: ResourceLimits, present: PresentCgroup): Setting[] {
  const most = (rate: number | undefined): string => String(rate ?? 'max');
  const maxima = ({ major, minor }: Disk): string =>
    `${major}:${minor} rbps=${most(io?.readBytesPerSecond)} wbps=${most(io?.writeBytesPerSecond)} ` +
    `riops=${most(io?.readOperationsPerSecond)} wiops=${most(io?.writeOperationsPerSecond)}`;
  return [
    ...one('memory', 'memory', 'memory.max', memoryBytes),
    ...one('cpus', 'cpu', 'cpu.max', cpus && `${quotaOf(cpus)} ${CPU_PERIOD_US}`),
    ...one('cpus', 'cpu', 'cpu.weight', cpus && cpuWeight(cpus, present.ofOne)),
    ...one('pids', 'pids', 'pids.max', pids),
    ...(present.has('io', 'io.max') ? present.disks.flatMap((disk) => one('io', 'io', 'io.max', maxima(disk))) : []),
    ...weightIn('io', ['io.bfq.weight', 'io.weight'], io, present),
  ];
}

function one(limit: ChangedLimit, controller: string, file: string, value: number | string | undefined): Setting[] {
  return value === undefined ? [] : [{ limit, controller, file, text: String(value) }];
}

/** The first of the files that there is. `io.weight` counts to 10,000, as crun converts it. */
function weightIn(
  controller: string,
  files: readonly string[],
  io: IoResources | undefined,
  { has }: PresentCgroup,
): Setting[] {
  const file = files.find((name) => has(controller, name));
  if (file === undefined) return [];
  const weight = io?.weight ?? 100;
  const value = file === 'io.weight' ? 1 + Math.floor(((weight - 10) * 9999) / 990) : weight;
  return one('io', controller, file, io?.weight === undefined && file === 'io.weight' ? 100 : value);
}

/**
 * Version 1: memory and swap together are as much as memory, so that nothing is swapped. The kernel refuses less for
 * both than for memory alone at any moment.
 */
function memoryFiles(next: number, { memoryBytes, has }: PresentCgroup): readonly string[] {
  const [memory, both] = ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'];
  if (!has('memory', both)) return [memory];
  return memoryBytes < next ? [both, memory] : [memory, both];
}

/** What the runtime's conversion of shares makes less of than of a service of the host. @param ofOne see sharesOfProcessor */
export function weightLimit(cpus: number, ofOne: number): LimitFile {
  return { controller: 'cpu', file: 'cpu.weight', text: String(cpuWeight(cpus, ofOne)) };
}

/** No container swaps. */
export function swapLimit(version: CgroupVersion, memoryBytes: number): LimitFile {
  return version === 2
    ? { controller: 'memory', file: 'memory.swap.max', text: '0' }
    : { controller: 'memory', file: 'memory.memsw.limit_in_bytes', text: String(memoryBytes) };
}

/** Version 2 alone: how many groups an init may make, and how deep they may lie. Version 1 has no such limit. */
export const INIT_GROUP_FILES: readonly LimitFile[] = [
  { controller: '', file: 'cgroup.max.depth', text: String(INIT_GROUPS.depth) },
  { controller: '', file: 'cgroup.max.descendants', text: String(INIT_GROUPS.descendants) },
];

/** Names of the two files that {@link limitEventsIn} understands. */
export const EVENT_FILES = {
  memory: { 1: 'memory.oom_control', 2: 'memory.events' },
  pids: { 1: 'pids.events', 2: 'pids.events' },
} as const;

/** @param texts empty: there is no such file */
export function limitEventsIn(texts: { readonly memory: string; readonly pids: string }): LimitEvents {
  return { memoryKills: counted(texts.memory, 'oom_kill'), refusedForks: counted(texts.pids, 'max') };
}

/** @param text of cpu.stat */
export function throttlingIn(version: CgroupVersion, text: string): CpuThrottling {
  return {
    periods: counted(text, 'nr_throttled'),
    waitedMs: version === 2 ? counted(text, 'throttled_usec') / 1_000 : counted(text, 'throttled_time') / 1_000_000,
  };
}

/** A line that is missing counts as never. */
function counted(text: string, key: string): number {
  for (const line of text.split('\n')) if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
  return 0;
}

const quotaOf = (cpus: number): number => Math.max(1000, Math.round(cpus * CPU_PERIOD_US));
