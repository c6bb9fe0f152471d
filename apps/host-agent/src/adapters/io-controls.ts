/** What of a container's input and output this host's kernel can limit, and on which disk. */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cgroupLayout, type IoResources } from '@plinth/container-runtime';
import type { EffectiveLimits, IoControl } from '@plinth/contracts';
import { hasCode } from '@plinth/host-os';
import type { StorageMounts } from '../domain/storage-mounts.js';

/** Numbers of a whole disk. */
export interface Disk {
  readonly major: number;
  readonly minor: number;
}

/** What a host can do for containers, read once. */
export interface HostIo {
  /** By storage node; one that is on no disk is missing. */
  readonly disks: ReadonlyMap<string, Disk>;
  readonly controls: readonly IoControl[];
  /** That a process of this one may have open. */
  readonly mostOpenFiles: number;
}

export function hostIo(storage: StorageMounts): HostIo {
  const disks = new Map(
    [...storage].flatMap(([node, path]) => {
      const disk = diskOf(join(path, 'volumes'));
      return disk ? [[node, disk] as const] : [];
    }),
  );
  const [, hard = ''] = /^Max open files\s+\S+\s+(\d+)/m.exec(readOr('/proc/self/limits')) ?? [];
  return { disks, controls: ioControls([...disks.values()]), mostOpenFiles: hard === '' ? Infinity : Number(hard) };
}

const CGROUPS = '/sys/fs/cgroup';

/** @param disks those of the host's storage */
export function ioControls(disks: readonly Disk[]): IoControl[] {
  const isUnified = cgroupLayout() === 'unified';
  const hasMaxima = isUnified
    ? readOr(`${CGROUPS}/cgroup.controllers`).split(/\s+/).includes('io')
    : existsSync(`${CGROUPS}/blkio/blkio.throttle.read_bps_device`);
  if (disks.length === 0 || !hasMaxima) return [];
  return [...(disks.every((disk) => isWeighed(disk, isUnified)) ? ['weight' as const] : []), 'maxima'];
}

/** Only a scheduler that knows groups gives each its share: BFQ, or the cost model of version 2. */
function isWeighed({ major, minor }: Disk, isUnified: boolean): boolean {
  if (readOr(`/sys/dev/block/${major}:${minor}/queue/scheduler`).includes('[bfq]')) return true;
  return isUnified && new RegExp(`^${major}:${minor} enable=1`, 'm').test(readOr(`${CGROUPS}/io.cost.qos`));
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

/** The part of a container's limits that this host can hold; undefined: none. */
export function ioResources(
  io: EffectiveLimits['io'],
  disk: Disk | undefined,
  controls: readonly IoControl[],
): IoResources | undefined {
  if (io === undefined || disk === undefined) return undefined;
  const { weight, ...maxima } = io;
  const held = {
    ...(weight !== undefined && controls.includes('weight') && { weight }),
    ...(controls.includes('maxima') && maxima),
  };
  return Object.keys(held).length === 0 ? undefined : { ...held, disks: [disk] };
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EOPNOTSUPP', 'EINVAL')) return '';
    throw error;
  }
}
