/** What a host can do of the limits of its containers that are about input, output and open files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Disk, diskOf, ioControls, type IoResources } from '@plinth/container-runtime';
import type { EffectiveLimits, IoControl } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';

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
  const [, hard = ''] = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return { disks, controls: ioControls([...disks.values()]), mostOpenFiles: hard === '' ? Infinity : Number(hard) };
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
