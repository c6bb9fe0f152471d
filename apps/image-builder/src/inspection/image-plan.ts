/**
 * The effects of a container's start on an image, by the same functions that start it. Pure: nothing is run or mounted.
 */
import {
  buildOciConfig,
  etcLayer,
  type InstanceImage,
  instanceSpec,
  MOUNT_SCRIPT_DEADLINE_SECONDS,
  MOUNT_SCRIPT_COMMAND,
  mountScriptEnvironment,
  planMounts,
  type PlannedMount,
} from '@plinth/container-runtime';
import { ContainerConfig, type ImageManifest, type ImagePlan, VERSION_FILES } from '@plinth/contracts';

const EXAMPLE = 'example';

/** @param asked config of the container that would be started; its own image does not matter */
export function planImage(manifest: ImageManifest, asked: ContainerConfig | undefined): ImagePlan {
  const ref = `${manifest.name}@${manifest.version}`;
  const config = Object.assign(new ContainerConfig(), asked ?? exampleConfig(), {
    image: ref,
    contentDigest: manifest.contentDigest,
  });
  const storage = `/storage/${config.storageNode}`;
  const master = `${storage}/images/${manifest.name}/${manifest.version}`;
  const image: InstanceImage = {
    root: `${master}/${VERSION_FILES.root}`,
    mountPlan: manifest.mountPlan,
    mountScript: {
      path: `${master}/${VERSION_FILES.mountScript}`,
      custom: manifest.mountScript.custom,
      digest: manifest.mountScript.digest,
    },
    environment: manifest.environment,
    timezone: manifest.timezone,
    entrypoint: manifest.entrypoint,
    command: manifest.command,
    workingDirectory: manifest.workingDirectory,
    user: manifest.user,
    stopSignal: manifest.stopSignal,
    privileges: manifest.privileges,
  };
  const softwarePath = config.software === undefined ? undefined : `${storage}/software/${config.software}`;
  const dataPath = `${storage}/volumes/${config.dataVolume}`;
  const users = config.hostUsers === true ? 'host' : 'own';
  const spec = instanceSpec(config, image, { dataPath, softwarePath, users });
  const inputs = {
    instance: 'plan',
    // The host chooses the range.
    firstId: 0,
    layerRoot: `/state/bundles/${config.containerId}`,
    jail: { directory: '/', filter: Buffer.alloc(0) },
  };
  const oci = buildOciConfig(spec, inputs);
  const { memoryBytes = null, cpus = null, pids = null } = spec.limits;
  return {
    image: ref,
    contentDigest: manifest.contentDigest,
    container: asked?.name ?? null,
    root: { path: oci.root.path, readOnly: oci.root.readonly },
    mounts: planMounts(spec, inputs).map((mount) => ({ ...mount, bytes: sizeOf(mount) })),
    mountScript: spec.mountScript.custom
      ? {
          argv: MOUNT_SCRIPT_COMMAND,
          told: mountScriptEnvironment(spec),
          deadlineSeconds: MOUNT_SCRIPT_DEADLINE_SECONDS,
        }
      : null,
    etc: etcLayer(spec).map((entry) => ({
      path: `/${entry.path}`,
      type: entry.type,
      content: entry.type === 'file' ? entry.text : entry.type === 'symlink' ? entry.target : null,
    })),
    environment: oci.process.env,
    timezone: spec.timezone,
    hostname: oci.hostname,
    command: oci.process.args,
    workingDirectory: oci.process.cwd,
    user: { name: manifest.user?.name ?? 'root', additionalGids: [], ...oci.process.user },
    exposedPorts: manifest.exposedPorts ?? [],
    stopSignal: spec.stopSignal,
    network: spec.network,
    limits: { memoryBytes, cpus, pids },
  };
}

/** The config of a container without settings of its own. The provisioner's defaults for limits are not known here. */
function exampleConfig(): Omit<ContainerConfig, 'image' | 'contentDigest'> {
  const id = '0'.repeat(32);
  return {
    containerId: id,
    name: EXAMPLE,
    tenant: EXAMPLE,
    host: EXAMPLE,
    generation: 1,
    runGeneration: 1,
    desired: 'running',
    storageNode: EXAMPLE,
    dataVolume: id,
    env: {},
    limits: {} as ContainerConfig['limits'],
    restart: { policy: 'always' },
    network: 'isolated',
    stopGraceSeconds: 10,
    requestedAt: '',
    decidedAt: '',
  };
}

function sizeOf({ options }: PlannedMount): number | null {
  const size = options.find((option) => option.startsWith('size='));
  return size === undefined ? null : Number(size.slice('size='.length));
}
