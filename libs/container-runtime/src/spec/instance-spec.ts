import type { ContainerConfig, MountPlan } from '@plinth/contracts';
import type { ContainerSpec, IoResources, ProcessUser } from './container-spec.js';

/** What a start needs of an image. */
export interface InstanceImage {
  /** Absolute host path of its `root/`. */
  readonly root: string;
  readonly mountPlan: MountPlan;
  readonly mountScript: ContainerSpec['mountScript'];
  readonly environment: Readonly<Record<string, string>>;
  readonly timezone: string;
  /** Words before every command; absent: none. */
  readonly entrypoint?: readonly string[];
  readonly command: readonly string[];
  readonly workingDirectory?: string;
  readonly user?: ProcessUser;
  readonly stopSignal: string;
  readonly privileges?: ContainerSpec['privileges'];
}

/** What the host gives a container: paths of its own, and whose ids its users have. */
export interface InstancePlace {
  readonly users: ContainerSpec['users'];
  readonly dataPath: string;
  /** Absent: it has no software. */
  readonly softwarePath?: string;
  /** The part of the config's limits of input and output that the host can hold. */
  readonly io?: IoResources;
  /** More than the host's own programs may have open it can't allow. */
  readonly mostOpenFiles?: number;
  /** Where names are answered, and how they end, for a container with an address. */
  readonly names?: { readonly nameServer: string; readonly domain: string; readonly hasIpv6: boolean };
}

/** What a container config means on an image: the config's value, else the image's. Pure. */
export function instanceSpec(
  config: ContainerConfig,
  image: InstanceImage,
  { dataPath, softwarePath, users, io, mostOpenFiles = Infinity, names }: InstancePlace,
): ContainerSpec {
  const { openFiles } = config.limits;
  return {
    id: config.containerId,
    imageRoot: image.root,
    mountPlan: image.mountPlan,
    mountScript: image.mountScript,
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
    // As with `docker run`: a container's own command replaces the image's, and keeps its entry point.
    command: [...(image.entrypoint ?? []), ...(config.command ?? image.command)],
    workingDirectory: image.workingDirectory,
    user: image.user,
    softwarePath,
    dataPath,
    limits: {
      memoryBytes: config.limits.memoryBytes,
      cpus: config.limits.cpus,
      pids: config.limits.pids,
      openFiles: openFiles === undefined ? undefined : Math.min(openFiles, mostOpenFiles),
      io,
    },
    users,
    // An interface is added from outside: until then there is a loopback only.
    network: config.network === 'host' ? 'host' : 'isolated',
    ...(names !== undefined &&
      config.network === 'container' &&
      config.address !== undefined && {
        names: {
          nameServer: names.nameServer,
          domain: `${config.tenant}.${names.domain}`,
          addresses: [config.address.ipv4, ...(names.hasIpv6 ? [config.address.ipv6] : [])],
        },
      }),
    stopSignal: config.stopSignal ?? image.stopSignal,
    privileges: image.privileges,
  };
}
