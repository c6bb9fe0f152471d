/** From a config, its image and its volumes to what the container runtime starts. */
import { lstat, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerSpec } from '@plinth/container-runtime';
import type { ContainerConfig } from '@plinth/contracts';
import type { StorageMounts } from '../domain/storage-mounts.js';
import { isMissing } from './durable-file.js';
import type { ImageMaster, Opened } from './image-master.js';
import { RUN_GENERATION_LABEL, STOP_SIGNAL_LABEL } from './oci-containers.js';

export function containerSpec(config: ContainerConfig, image: ImageMaster, dataPath: string, softwarePath: string | undefined): ContainerSpec {
  return {
    id: config.containerId,
    imageRoot: image.root,
    mountPlan: image.mountPlan,
    mountScript: { path: image.mountScript.path, custom: image.mountScript.custom },
    environment: {
      ...image.environment,
      ...config.env,
      PLINTH_CONTAINER_ID: config.containerId,
      PLINTH_CONTAINER_NAME: config.name,
      PLINTH_TENANT: config.tenant,
      PLINTH_IMAGE: config.image,
      PLINTH_HOST: config.host,
    },
    timezone: config.timezone ?? image.timezone,
    hostname: config.name,
    command: config.command ?? image.command,
    softwarePath,
    dataPath,
    limits: { memoryBytes: config.limits.memoryBytes, cpus: config.limits.cpus, pids: config.limits.pids },
    network: config.network,
    stopSignal: config.stopSignal ?? image.stopSignal,
    labels: {
      [RUN_GENERATION_LABEL]: String(config.runGeneration),
      generation: String(config.generation),
      tenant: config.tenant,
      image: config.image,
      [STOP_SIGNAL_LABEL]: config.stopSignal ?? image.stopSignal,
    },
  };
}

/** Host path of the software that a config asks for; undefined as a value when it asks for none. */
export async function openSoftware(config: ContainerConfig, storage: StorageMounts): Promise<Opened<string | undefined>> {
  if (config.software === undefined) return { ok: true, value: undefined };
  const repository = join(storage.get(config.storageNode) ?? '/nonexistent', 'software');
  try {
    const path = join(await realpath(repository), config.software);
    // A link may not lead out of the repository, nor to other software.
    if ((await realpath(path)) === path && (await lstat(path)).isDirectory()) return { ok: true, value: path };
  } catch (error) {
    if (!isMissing(error) && (error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error;
  }
  return { ok: false, failure: { reason: 'software-missing', message: `there is no software ${config.software} on storage node ${config.storageNode}` } };
}
