/**
 * What of a container's input and output this machine's kernel can limit, and on which disk.
 *
 * Depends on: the throttle files of blkio (version 1) or the controller io (version 2), the scheduler BFQ or the cost
 * model for weights, and the numbers of devices as /sys/dev/block shows them. Seen with Linux 6.18, version 1: there
 * writes that are cached are not counted for the container that made them.
 * Noticed by: the limits.int-spec.ts of the host agent.
 * Instead: a machine that lacks it says so in its heartbeat, and holds the other limits.
 */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasCode } from '@plinth/host-os';
import { CGROUPS, type CgroupVersion, cgroupVersion } from './cgroup-tree.js';
import type { Disk } from './limit-files.js';

/** `maxima`: bytes and operations per second. */
export type IoControl = 'weight' | 'maxima';

/** What the kernel shows of a machine's disks. */
export interface IoReading {
  readonly version: CgroupVersion;
  /** Version 1: whether blkio has its throttle. Version 2: whether the tree has the controller `io`. */
  readonly hasMaxima: boolean;
  /** Of each disk of the host's storage: its numbers, and `queue/scheduler`. */
  readonly disks: readonly { readonly disk: Disk; readonly scheduler: string }[];
  /** Version 2: io.cost.qos. */
  readonly cost: string;
}

/** @param disks those of the host's storage */
export function ioControls(disks: readonly Disk[]): IoControl[] {
  const version = cgroupVersion();
  return ioControlsIn({
    version,
    hasMaxima:
      version === 2
        ? readOr(`${CGROUPS}/cgroup.controllers`).split(/\s+/).includes('io')
        : existsSync(`${CGROUPS}/blkio/blkio.throttle.read_bps_device`),
    disks: disks.map((disk) => ({
      disk,
      scheduler: readOr(`/sys/dev/block/${disk.major}:${disk.minor}/queue/scheduler`),
    })),
    cost: readOr(`${CGROUPS}/io.cost.qos`),
  });
}

/** Pure. Only a scheduler that knows groups gives each its share: BFQ, or the cost model of version 2. */
export function ioControlsIn({ version, hasMaxima, disks, cost }: IoReading): IoControl[] {
  if (disks.length === 0 || !hasMaxima) return [];
  const isWeighed = disks.every(
    ({ disk: { major, minor }, scheduler }) =>
      scheduler.includes('[bfq]') || (version === 2 && new RegExp(`^${major}:${minor} enable=1`, 'm').test(cost)),
  );
  return [...(isWeighed ? ['weight' as const] : []), 'maxima'];
}

/** The disk that a path is on; undefined: none, as with a file system in memory or over the network. */
export function diskOf(path: string): Disk | undefined {
  try {
    const { dev } = statSync(path, { bigint: true });
    const device = Number((dev >> 8n) & 0xfffn) === 0 ? mountedFrom(path) : numbersOf(dev);
    return device && wholeDisk(device);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** makedev(3) */
const numbersOf = (device: bigint): Disk => ({
  major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n)),
  minor: Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n)),
});

/** btrfs shows numbers of its own; the device is in the table of mounts. */
function mountedFrom(path: string): Disk | undefined {
  const real = realpathSync(path);
  let best: { readonly target: string; readonly source: string } | undefined;
  for (const line of readOr('/proc/self/mountinfo').split('\n')) {
    const [left = '', right = ''] = line.split(' - ', 2);
    const target = left.split(' ')[4] ?? '';
    const source = right.split(' ')[1] ?? '';
    const isAbove = target === '/' || real === target || real.startsWith(`${target}/`);
    if (isAbove && target.length >= (best?.target.length ?? 0)) best = { target, source };
  }
  if (best?.source.startsWith('/dev/') !== true) return undefined;
  return numbersOf(statSync(best.source, { bigint: true }).rdev);
}

/** The kernel limits disks, not their partitions. */
function wholeDisk(device: Disk): Disk | undefined {
  const directory = `/sys/dev/block/${device.major}:${device.minor}`;
  if (!existsSync(directory)) return undefined;
  if (!existsSync(join(directory, 'partition'))) return device;
  const [major, minor] = readOr(join(dirname(realpathSync(directory)), 'dev'))
    .trim()
    .split(':')
    .map(Number);
  return major === undefined || minor === undefined ? undefined : { major, minor };
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EOPNOTSUPP', 'ENOTSUP', 'EINVAL')) return '';
    throw error;
  }
}
