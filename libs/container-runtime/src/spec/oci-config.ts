import {
  processEnvironment,
  type ContainerSpec,
  type IoResources,
  type ProcessUser,
  type ResourceLimits,
} from './container-spec.js';
import { planMounts, type MountSources } from './planned-mounts.js';
import { cpuShares } from './processor-share.js';
import { MOUNT_SCRIPT_DEADLINE_SECONDS, mountScriptHook, type ScriptJail } from './script-jail.js';
import { isSystemContainer } from './system-container.js';
import { defaultSeccompProfile, type SeccompProfile } from './seccomp-profile.js';

/** The subset of the OCI runtime-spec 1.0 config.json that this library writes. */
export interface OciConfig {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly {
    readonly destination: string;
    readonly type: string;
    readonly source: string;
    readonly options: readonly string[];
  }[];
  /** Only the runtime's own annotations: see oci-runtime.ts. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly hooks?: { readonly createContainer: readonly OciHook[] };
  readonly linux: {
    readonly cgroupsPath: string;
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly uidMappings?: readonly IdMapping[];
    readonly gidMappings?: readonly IdMapping[];
    /** Of the container's own network. */
    readonly sysctl?: Readonly<Record<string, string>>;
    readonly resources: Readonly<Record<string, unknown>>;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
    readonly rootfsPropagation: string;
    readonly seccomp: SeccompProfile;
  };
}

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<'bounding' | 'effective' | 'permitted', readonly string[]>>;
  readonly noNewPrivileges: boolean;
  readonly rlimits?: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface OciHook {
  readonly path: string;
  readonly args: readonly string[];
  /** Never absent: crun would give the hook the caller's variables, runc the container's. */
  readonly env: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

/** What a config needs besides the spec: host paths of this start, and how a custom mount script runs. */
export interface OciConfigInputs extends MountSources {
  /** Name of the runtime instance that starts it; see instanceName. */
  readonly instance: string;
  /** The host's id of its root, for a container with users of its own. */
  readonly firstId?: number;
  /** Paths of namespaces that were made before it; the users' is absent when they are the host's. Absent: none was. */
  readonly namespaces?: { readonly users?: string; readonly network: string };
  /** For a custom mount script. */
  readonly jail?: ScriptJail;
  /** For a custom mount script, seconds. */
  readonly hookDeadlineSeconds?: number;
  /** See sharesOfProcessor; absent: as a service of the host. */
  readonly sharesOfProcessor?: number;
}

/** Ids of a container with users of its own: what Debian's tools expect, `nobody` (65534) included. */
export const RANGE_SIZE = 65_536;

/** Docker's default set minus MKNOD, NET_RAW, AUDIT_WRITE and SETFCAP. */
export const CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/**
 * In the bounding set alone, for programs such as ping, which have it as a file capability: the kernel refuses to start
 * them when their capabilities are not in that set. No process gets it, because no process gets new privileges.
 */
const OF_PROGRAMS: readonly string[] = ['CAP_NET_RAW'];

/** With users of its own the container's root may also hold what gives such capabilities: they mean nothing outside. */
const OF_PROGRAMS_WITH_OWN_USERS: readonly string[] = [...OF_PROGRAMS, 'CAP_SETFCAP'];

/**
 * The bounding set of containers: a program whose file capabilities take effect and are not all in it can't be started.
 */
export const CAPABILITIES_IN_REACH: readonly string[] = [...CAPABILITIES, ...OF_PROGRAMS];

/** What package maintainer scripts need on top while an image is built; never in a running container. */
export const BUILD_CAPABILITIES: readonly string[] = [...CAPABILITIES, 'CAP_SETFCAP'];

/** As containerd masks them. */
export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];

/** The host's root may read which pages of memory are used for what; root of a user namespace may not. */
const MASKED_FROM_HOST_USERS: readonly string[] = ['/proc/kpagecgroup', '/proc/kpagecount', '/proc/kpageflags'];

/** As containerd makes them read-only; and where the kernel takes orders to watch the load of the whole machine. */
export const READONLY_PATHS: readonly string[] = [
  '/proc/pressure',
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** `ping` as any user, and a port below 1024 for a process that is not root, as Docker has it. */
const NETWORK_SETTINGS: Readonly<Record<string, string>> = { 'net.ipv4.ip_unprivileged_port_start': '0' };
const PING_GROUPS = 'net.ipv4.ping_group_range';
/** What a user namespace of 65,536 ids can name; without one the kernel's largest. */
const EVERY_GROUP: Readonly<Record<ContainerSpec['users'], string>> = { own: '0 65535', host: '0 2147483647' };

/** Period of the CPU quota, microseconds (the kernel's default). */
const CPU_PERIOD_US = 100_000;
/**
 * Translates a spec to the runtime's config. Pure; it writes no annotation, so none can come from an image or a tenant.
 * @throws RangeError for a spec that was not checked, or inputs that lack the ids of its users or its script's jail
 */
export function buildOciConfig(spec: ContainerSpec, inputs: OciConfigInputs): OciConfig {
  const build = spec.writableRoot === true;
  const capabilities = build ? BUILD_CAPABILITIES : CAPABILITIES;
  const own = spec.users === 'own';
  const { openFiles } = spec.limits;
  const mappings = own ? [mappingFrom(inputs.firstId)] : undefined;
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: userOf(spec),
      args: spec.command,
      env: Object.entries({
        ...processEnvironment(spec),
        // Container Interface, systemd.io: it tells an init that it is in a container.
        ...(isSystemContainer(spec) && { container: 'oci' }),
      }).map(([name, value]) => `${name}=${value}`),
      cwd: spec.workingDirectory ?? '/',
      capabilities: {
        bounding: [...capabilities, ...(own ? OF_PROGRAMS_WITH_OWN_USERS : OF_PROGRAMS)],
        effective: capabilities,
        permitted: capabilities,
      },
      noNewPrivileges: !mayGainPrivileges(spec),
      ...(openFiles !== undefined && { rlimits: [{ type: 'RLIMIT_NOFILE', soft: openFiles, hard: openFiles }] }),
    },
    root: { path: spec.imageRoot, readonly: !build },
    hostname: spec.hostname,
    mounts: planMounts(spec, inputs).map(({ destination, type, source, options }) => ({
      destination,
      type,
      source,
      options,
    })),
    ...(spec.mountScript.custom && !build && { hooks: { createContainer: [hookOf(spec, inputs)] } }),
    linux: {
      cgroupsPath: cgroupPath(spec.id, inputs.instance),
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
        ...(spec.network === 'host' ? [] : [namespaceOf('network', inputs.namespaces?.network)]),
        ...(own ? [namespaceOf('user', inputs.namespaces?.users)] : []),
      ],
      ...(mappings && { uidMappings: mappings, gidMappings: mappings }),
      ...(spec.network !== 'host' && { sysctl: { ...NETWORK_SETTINGS, [PING_GROUPS]: EVERY_GROUP[spec.users] } }),
      // In a user namespace no device can be made, and crun's rules for them would need a right that the agent may lack.
      resources: { ...(!own && { devices: [{ allow: false, access: 'rwm' }] }), ...resources(spec.limits, inputs) },
      maskedPaths: own ? MASKED_PATHS : [...MASKED_PATHS, ...MASKED_FROM_HOST_USERS],
      readonlyPaths: READONLY_PATHS,
      rootfsPropagation: 'private',
      seccomp: defaultSeccompProfile(),
    },
  };
}

const namespaceOf = (type: string, path: string | undefined): { readonly type: string; readonly path?: string } =>
  path === undefined ? { type } : { type, path };

/** Only where its root is nobody outside. */
export function mayGainPrivileges({ privileges, users }: Pick<ContainerSpec, 'privileges' | 'users'>): boolean {
  return privileges === 'setuid' && users === 'own';
}

function hookOf(spec: ContainerSpec, { jail, hookDeadlineSeconds }: OciConfigInputs): OciHook {
  if (jail === undefined) throw new RangeError('a custom mount script runs in a jail');
  return mountScriptHook(spec, jail, hookDeadlineSeconds ?? MOUNT_SCRIPT_DEADLINE_SECONDS);
}

function mappingFrom(firstId: number | undefined): IdMapping {
  if (firstId === undefined) throw new RangeError('a container with users of its own has a range of ids');
  return { containerID: 0, hostID: firstId, size: RANGE_SIZE };
}

/** Nothing but ids: the spec may come from an image's manifest, which has more about its user. */
function userOf({ user }: ContainerSpec): OciProcess['user'] {
  if (user === undefined) return { uid: 0, gid: 0 };
  const { uid, gid, additionalGids = [] } = checkedUser(user);
  return { uid, gid, ...(additionalGids.length > 0 && { additionalGids }) };
}

/**
 * The last guard before the runtime: crun takes 4294967295 for "no change", and the process stays the host's root.
 * @throws RangeError for an id that a container can't have
 */
export function checkedUser<User extends ProcessUser>(user: User): User {
  for (const id of [user.uid, user.gid, ...(user.additionalGids ?? [])])
    if (!Number.isInteger(id) || id < 0 || id >= RANGE_SIZE) throw new RangeError(`${id} is no id of a container`);
  return user;
}

/**
 * The cgroup of a container, in every hierarchy: below the root of the tree, beside the host's services, because a group
 * of all containers would wait for its turn as a whole (processor-share.ts). A container that moves between two
 * instances on one machine has one of each.
 */
export function cgroupPath(id: string, instance: string): string {
  return `/plinth-${id}.${instance}`;
}

function resources(limits: ResourceLimits, { sharesOfProcessor }: OciConfigInputs): Record<string, unknown> {
  const { memoryBytes, cpus, pids, io } = limits;
  return {
    ...(memoryBytes !== undefined && { memory: { limit: memoryBytes } }),
    ...(cpus !== undefined && {
      cpu: {
        period: CPU_PERIOD_US,
        quota: Math.max(1000, Math.round(cpus * CPU_PERIOD_US)),
        // When processors are short, each gets in proportion to its limit, however many processes it has.
        shares: cpuShares(cpus, sharesOfProcessor),
      },
    }),
    ...(pids !== undefined && { pids: { limit: pids } }),
    ...(io !== undefined && { blockIO: blockIo(io) }),
  };
}

function blockIo({ disks, weight, ...maxima }: IoResources): Record<string, unknown> {
  const onEach = (name: string, rate: number | undefined): Record<string, unknown> =>
    rate === undefined ? {} : { [name]: disks.map(({ major, minor }) => ({ major, minor, rate })) };
  return {
    ...(weight !== undefined && { weight }),
    ...onEach('throttleReadBpsDevice', maxima.readBytesPerSecond),
    ...onEach('throttleWriteBpsDevice', maxima.writeBytesPerSecond),
    ...onEach('throttleReadIOPSDevice', maxima.readOperationsPerSecond),
    ...onEach('throttleWriteIOPSDevice', maxima.writeOperationsPerSecond),
  };
}
