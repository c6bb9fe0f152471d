/** What a host can do of the limits of its containers that are about input, output and open files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Disk, diskOf, ioControls, type IoResources, type LimitPolicy } from '@plinth/container-runtime';
import {
  type ContainerConfig,
  type EffectiveLimits,
  type HostLimit,
  type IoControl,
  requestedLimits,
} from '@plinth/contracts';
import type { StartFailure } from '../domain/start-failure.js';
import type { StorageMounts } from '../domain/storage-mounts.js';

/** What a host can do for containers, read once. */
export interface HostIo {
  /** By storage node; one that is on no disk is missing. */
  readonly disks: ReadonlyMap<string, Disk>;
  readonly controls: readonly IoControl[];
  /** That a process of this one may have open. */
  readonly mostOpenFiles: number;
  /** Whether a container starts that can't be held to its input and output. */
  readonly policy: LimitPolicy;
}

const CONTROLS = { 'io-weight': 'weight', 'io-maxima': 'maxima' } as const;

export function hostIo(storage: StorageMounts, policy: LimitPolicy): HostIo {
  const disks = new Map(
    [...storage].flatMap(([node, path]) => {
      const disk = diskOf(join(path, 'volumes'));
      return disk ? [[node, disk] as const] : [];
    }),
  );
  const [, hard = ''] = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  const mostOpenFiles = hard === '' ? Infinity : Number(hard);
  return { disks, controls: ioControls([...disks.values()]), mostOpenFiles, policy };
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

/** Limits of input and output that are not held on each of the storage nodes. */
export function missingIo({ disks, controls }: HostIo, storageNodes: readonly string[]): HostLimit[] {
  return (['io-weight', 'io-maxima'] as const).filter(
    (limit) => !controls.includes(CONTROLS[limit]) || storageNodes.some((node) => !disks.has(node)),
  );
}

/** Why the container would run without a limit that it was promised; undefined: it would not, or may. */
export function ioRefusal({ limits, storageNode }: ContainerConfig, io: HostIo): StartFailure | undefined {
  if (io.policy === 'preferred') return undefined;
  const missing = missingIo(io, [storageNode]);
  const unheld = requestedLimits(limits.io, undefined).filter((limit) => missing.includes(limit));
  if (unheld.length === 0) return undefined;
  return {
    reason: 'limit-not-held',
    message:
      `this host can not hold a container on ${storageNode} to ${unheld.join(' and ')}: plinth set NAME --io-max none takes ` +
      'both away; plinth doctor on the host says what they need',
  };
}
