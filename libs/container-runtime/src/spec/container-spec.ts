import type { Digest, MountPlan } from '@plinth/contracts';

/**
 * Everything this library needs to know to run one container. Plain data: the caller has already
 * checked its names and ids against the contracts; paths on the host are checked by the premount checks.
 */
export interface ContainerSpec {
  /** 32 lower-case hex digits; also the name of the cgroup, the bundle and the runtime's state. */
  readonly id: string;
  /** Absolute host path of the image's `root/`; of the build tree when {@link writableRoot} is set. */
  readonly imageRoot: string;
  readonly mountPlan: MountPlan;
  readonly mountScript: {
    /** Absolute host path of the image's `mount.sh`. */
    readonly path: string;
    /** True: the recipe brought its own and it runs as a hook. False: the plan goes straight to the runtime. */
    readonly custom: boolean;
    /** Of a custom one: with other bytes the container does not start. Absent: the caller has just written it. */
    readonly digest?: Digest;
  };
  /** For the process and for users that log in. `PATH` falls back to Debian's. */
  readonly environment: Readonly<Record<string, string>>;
  /** IANA zone name; a file below the image's /usr/share/zoneinfo. */
  readonly timezone: string;
  readonly hostname: string;
  /** argv of the first process. */
  readonly command: readonly string[];
  /** Absolute path in the container; `/` when absent. */
  readonly workingDirectory?: string;
  /** The user of the first process, and of commands in the container unless they name another; root when absent. */
  readonly user?: ProcessUser;
  /** Host path, shown read-only at /sw. */
  readonly softwarePath?: string;
  /** Host path of the data volume, shown read-write at /data (nosuid, nodev). */
  readonly dataPath?: string;
  readonly limits: ResourceLimits;
  /**
   * `own`: a user namespace with a range of the host's ids, so that root in the container is nobody outside. `host`: the
   * container's ids are the host's.
   */
  readonly users: 'own' | 'host';
  /** `isolated`: loopback only. `host`: the host's network and resolver, for build steps. */
  readonly network: 'isolated' | 'host';
  /** Absent: it has neither an address nor a name server. */
  readonly names?: ContainerNames;
  /** Name of the signal that asks the first process to end, e.g. `SIGTERM`. */
  readonly stopSignal: string;
  /**
   * `setuid`: set-user-id files and file capabilities of the image take effect, for users of its own alone; absent: they
   * give nothing.
   */
  readonly privileges?: 'setuid';
  /** Build steps only: the tree itself is writable and no mount plan is applied. */
  readonly writableRoot?: boolean;
  /** Kept in the bundle for callers that list containers; never shown to the runtime. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** How a container finds others, and itself, by name. */
export interface ContainerNames {
  /** Its own. */
  readonly addresses: readonly string[];
  readonly nameServer: string;
  /** Names without a dot are looked for in it, and its own name is one of it. */
  readonly domain: string;
}

/** Ids in the container. One that is not root has no capabilities. */
export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids?: readonly number[];
}

/** Upper bounds; an absent one is not limited. */
export interface ResourceLimits {
  /** Bytes of memory, memory file systems included. */
  readonly memoryBytes?: number;
  /** CPUs' worth of time, e.g. 0.5. */
  readonly cpus?: number;
  /** Processes and threads. */
  readonly pids?: number;
  /** Files that one process may have open. */
  readonly openFiles?: number;
  readonly io?: IoResources;
}

/** Input and output on disks. */
export interface IoResources {
  /** Share, 10 to 1000; 100 is that of the others. */
  readonly weight?: number;
  readonly readBytesPerSecond?: number;
  readonly writeBytesPerSecond?: number;
  readonly readOperationsPerSecond?: number;
  readonly writeOperationsPerSecond?: number;
  /** Numbers of the whole disks that the maxima are for. */
  readonly disks: readonly { readonly major: number; readonly minor: number }[];
}

/** PATH of a container whose environment names none (Debian's /etc/login.defs, ENV_SUPATH). */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The variables of the first process: the spec's, with a PATH in any case. */
export function processEnvironment(spec: Pick<ContainerSpec, 'environment'>): Record<string, string> {
  return { PATH: DEFAULT_PATH, ...spec.environment };
}
