/**
 * Changes the limits of a container that runs.
 *
 * Depends on: the files of cgroups of version 1 and 2, as cgroups(7) and the kernel's documentation describe them. Version
 * 1 refuses a memory limit below what is used and can't be given back (EBUSY); version 2 would kill for it, so what is
 * used is read before. Seen with Linux 6.18, version 1.
 * Noticed by: the limits.int-spec.ts of the host agent.
 * Instead: a limit that can't be written is reported as one that the next start sets.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import type { IoResources, ResourceLimits } from '../spec/container-spec.js';
import { cpuShares } from '../spec/oci-config.js';
import { cgroupLayout } from './cgroups.js';
import type { Disk } from './io-controls.js';
import { readText } from './torn-file.js';

const ROOT = '/sys/fs/cgroup';
const CPU_PERIOD_US = 100_000;

export type ChangedLimit = 'memory' | 'cpus' | 'pids' | 'io';

/** A limit that could not be changed while the container runs, and why. */
export interface UnchangedLimit {
  readonly limit: ChangedLimit;
  readonly message: string;
}

interface Setting {
  readonly limit: ChangedLimit;
  readonly controller: string;
  readonly file: string;
  readonly text: string;
}

/**
 * Sets all of them, also again. @param group see cgroupPath
 * @param disks of which a limit is taken away where none is asked for
 */
export function changeCgroupLimits(group: string, limits: ResourceLimits, disks: readonly Disk[]): UnchangedLimit[] {
  const isUnified = cgroupLayout() === 'unified';
  const settings = isUnified ? unified(limits, disks, group) : separate(limits, disks, group);
  const failed = new Map<ChangedLimit, UnchangedLimit>();
  for (const { limit, controller, file, text } of settings) {
    const path = isUnified ? `${ROOT}${group}/${file}` : `${ROOT}/${controller}${group}/${file}`;
    const problem = isUnified && limit === 'memory' ? memoryProblem(group, Number(text)) : undefined;
    const message = problem ?? write(path, text);
    if (message !== undefined && !failed.has(limit)) failed.set(limit, { limit, message });
  }
  return [...failed.values()];
}

function write(path: string, text: string): string | undefined {
  try {
    writeFileSync(path, text);
    return undefined;
  } catch (error) {
    if (hasCode(error, 'EBUSY')) return 'it uses more than that now';
    if (!(error instanceof Error && 'code' in error)) throw error;
    return `the kernel does not change it: ${error.message}`;
  }
}

/** Version 2: what can be given back is, and a limit below what is left would kill. */
function memoryProblem(group: string, limit: number): string | undefined {
  const used = (): number => Number(readFileSync(`${ROOT}${group}/memory.current`, 'utf8'));
  try {
    const excess = used() - limit;
    if (excess > 0 && existsSync(`${ROOT}${group}/memory.reclaim`))
      write(`${ROOT}${group}/memory.reclaim`, String(excess));
    return used() > limit ? 'it uses more than that now' : undefined;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return undefined;
    throw error;
  }
}

function separate({ memoryBytes, cpus, pids, io }: ResourceLimits, disks: readonly Disk[], group: string): Setting[] {
  const throttle = (file: string, rate: number | undefined): Setting[] =>
    disks
      .filter(() => existsSync(`${ROOT}/blkio${group}/blkio.throttle.${file}`))
      .map((disk) => ({
        limit: 'io',
        controller: 'blkio',
        file: `blkio.throttle.${file}`,
        text: `${disk.major}:${disk.minor} ${rate ?? 0}`,
      }));
  return [
    ...(memoryBytes === undefined ? [] : memoryFiles(group, memoryBytes)).flatMap((file) =>
      one('memory', 'memory', file, memoryBytes),
    ),
    ...one('cpus', 'cpu', 'cpu.cfs_quota_us', cpus && quotaOf(cpus)),
    ...one('cpus', 'cpu', 'cpu.shares', cpus && cpuShares(cpus)),
    ...one('pids', 'pids', 'pids.max', pids),
    ...throttle('read_bps_device', io?.readBytesPerSecond),
    ...throttle('write_bps_device', io?.writeBytesPerSecond),
    ...throttle('read_iops_device', io?.readOperationsPerSecond),
    ...throttle('write_iops_device', io?.writeOperationsPerSecond),
    ...weightIn(`${ROOT}/blkio${group}`, 'blkio', ['blkio.weight', 'blkio.bfq.weight'], io),
  ];
}

function unified({ memoryBytes, cpus, pids, io }: ResourceLimits, disks: readonly Disk[], group: string): Setting[] {
  const most = (rate: number | undefined): string => String(rate ?? 'max');
  const maxima = disks
    .filter(() => existsSync(`${ROOT}${group}/io.max`))
    .map((disk): Setting => ({
      limit: 'io',
      controller: 'io',
      file: 'io.max',
      text:
        `${disk.major}:${disk.minor} rbps=${most(io?.readBytesPerSecond)} wbps=${most(io?.writeBytesPerSecond)} ` +
        `riops=${most(io?.readOperationsPerSecond)} wiops=${most(io?.writeOperationsPerSecond)}`,
    }));
  return [
    ...one('memory', 'memory', 'memory.max', memoryBytes),
    ...one('cpus', 'cpu', 'cpu.max', cpus && `${quotaOf(cpus)} ${CPU_PERIOD_US}`),
    ...one('cpus', 'cpu', 'cpu.weight', cpus && weightOf(cpuShares(cpus))),
    ...one('pids', 'pids', 'pids.max', pids),
    ...maxima,
    ...weightIn(`${ROOT}${group}`, 'io', ['io.bfq.weight', 'io.weight'], io),
  ];
}

function one(limit: ChangedLimit, controller: string, file: string, value: number | string | undefined): Setting[] {
  return value === undefined ? [] : [{ limit, controller, file, text: String(value) }];
}

/** The first of the files that there is. `io.weight` counts to 10,000, as crun converts it. */
function weightIn(directory: string, controller: string, files: readonly string[], io?: IoResources): Setting[] {
  const file = files.find((name) => existsSync(`${directory}/${name}`));
  if (file === undefined) return [];
  const weight = io?.weight ?? 100;
  const value = file === 'io.weight' ? 1 + Math.floor(((weight - 10) * 9999) / 990) : weight;
  return one('io', controller, file, io?.weight === undefined && file === 'io.weight' ? 100 : value);
}

/**
 * Memory and swap together are as much as memory, so that nothing is swapped. The kernel refuses less for both than for
 * memory alone at any moment.
 */
function memoryFiles(group: string, next: number): readonly string[] {
  const [memory, both] = ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'];
  const directory = `${ROOT}/memory${group}`;
  if (!existsSync(`${directory}/${both}`)) return [memory];
  const present = Number(readText(`${directory}/${memory}`) ?? 0);
  return present < next ? [both, memory] : [memory, both];
}

/** As crun converts shares of version 1. */
const weightOf = (shares: number): number => 1 + Math.floor(((shares - 2) * 9999) / 262_142);

const quotaOf = (cpus: number): number => Math.max(1000, Math.round(cpus * CPU_PERIOD_US));
