/** Makes the spec for the container runtime from a config, its image and its volumes. */
import { join } from 'node:path';
import {
  checkBeforeMount,
  type ContainerSpec,
  type InstancePlace,
  instanceSpec,
  type PremountReason,
} from '@plinth/container-runtime';
import type { ContainerConfig, ContainerFailureReason } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';
import type { StartFailure } from '../domain/start-failure.js';
import type { ImageMaster } from './image-master.js';
import { type HostIo, ioResources } from './io-controls.js';
import {
  IMAGE_LABEL,
  OPEN_FILES_LABEL,
  RUN_GENERATION_LABEL,
  STOP_SIGNAL_LABEL,
  USERS_LABEL,
} from './oci-containers.js';

export function containerSpec(
  config: ContainerConfig,
  image: ImageMaster,
  dataPath: string,
  softwarePath: string | undefined,
  users: ContainerSpec['users'],
  io: HostIo,
  names: InstancePlace['names'],
): ContainerSpec {
  const spec = instanceSpec(config, image, {
    dataPath,
    softwarePath,
    users,
    io: ioResources(config.limits.io, io.disks.get(config.storageNode), io.controls),
    mostOpenFiles: io.mostOpenFiles,
    names,
  });
  const { openFiles } = spec.limits;
  return {
    ...spec,
    labels: {
      [RUN_GENERATION_LABEL]: String(config.runGeneration),
      generation: String(config.generation),
      tenant: config.tenant,
      [IMAGE_LABEL]: config.image,
      [USERS_LABEL]: users,
      ...(openFiles !== undefined && { [OPEN_FILES_LABEL]: String(openFiles) }),
      [STOP_SIGNAL_LABEL]: config.stopSignal ?? image.stopSignal,
    },
  };
}

/** Host path of the software that a config asks for; the premount checks test whether it exists. */
export function softwarePath(config: ContainerConfig, storage: StorageMounts): string | undefined {
  return config.software === undefined
    ? undefined
    : join(storage.get(config.storageNode) ?? '/nonexistent', 'software', config.software);
}

const REASONS: Readonly<Record<PremountReason, ContainerFailureReason>> = {
  'image-missing': 'image-missing',
  'mount-plan-invalid': 'mount-plan-invalid',
  'mount-point-not-directory': 'mount-point-not-directory',
  'mount-script-missing': 'mount-script-missing',
  'mount-script-mismatch': 'mount-script-mismatch',
  'timezone-missing': 'mount-plan-invalid',
  'data-volume-missing': 'data-volume-missing',
  'data-volume-outside': 'data-volume-missing',
  'software-missing': 'software-missing',
  'software-outside': 'software-missing',
};

/** Why nothing may be mounted for this container; undefined: it may. */
export function premountFailure(
  config: ContainerConfig,
  spec: ContainerSpec,
  image: ImageMaster,
  storage: StorageMounts,
): StartFailure | undefined {
  const base = storage.get(config.storageNode) ?? '/nonexistent';
  const result = checkBeforeMount(spec, {
    mountScriptDigest: image.mountScript.digest,
    dataRoot: join(base, 'volumes', config.dataVolume),
    softwareRoot: join(base, 'software'),
  });
  return result.ok ? undefined : { reason: REASONS[result.reason], message: result.message };
}
