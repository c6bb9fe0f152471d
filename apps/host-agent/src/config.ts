/** The host agent's environment. */
import { availableParallelism, totalmem } from 'node:os';
import { CNI_DIRECTORIES } from '@plinth/cni';
import { LIMIT_POLICIES, type LimitPolicy } from '@plinth/container-runtime';
import {
  ADDRESS_POOL,
  ADDRESS_POOL6,
  IsHostAddress,
  NAME_PATTERN,
  parseLabels,
  poolProblem,
  prefixProblem,
} from '@plinth/contracts';
import { DOMAIN_PATTERN } from '@plinth/names';
import { TransferConfig } from '@plinth/image-transfer/service';
import { TRUSTED_KEYS_WANTED } from '@plinth/image-trust';
import { IsBoolean, IsIn, IsInt, IsNumber, IsOptional, Matches, Max, Min, ValidateBy } from 'class-validator';
import { Transform } from 'class-transformer';
import { USER_POLICIES, type UserPolicy } from './adapters/container-users.js';
import { parseDailyWindows } from './domain/daily-windows.js';
import { parseStorageMounts } from './domain/storage-mounts.js';

/** `attached`: on the storage nodes that are mounted. `own`: in a store of this host, which it fills itself. */
export const IMAGE_PLACES = ['attached', 'own'] as const;
export type ImagePlaces = (typeof IMAGE_PLACES)[number];

const TUNNELS = ['vxlan', 'routes', 'off'] as const;

function IsStorageMounts(): PropertyDecorator {
  return ValidateBy({
    name: 'isStorageMounts',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && typeof parseStorageMounts(value) !== 'string',
      defaultMessage: (args) => `PLINTH_STORAGE_MOUNTS: ${String(parseStorageMounts(String(args?.value ?? '')))}`,
    },
  });
}

function IsLabelList(): PropertyDecorator {
  return ValidateBy({
    name: 'isLabelList',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && typeof parseLabels(value) !== 'string',
      defaultMessage: (args) => `PLINTH_LABELS: ${String(parseLabels(String(args?.value ?? '')))}`,
    },
  });
}

function IsDailyWindows(): PropertyDecorator {
  return ValidateBy({
    name: 'isDailyWindows',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && parseDailyWindows(value) !== undefined,
      defaultMessage: () => 'PLINTH_AHEAD_WINDOWS must look like 01:00-05:00,22:30-23:00',
    },
  });
}

function IsPool(problem: (value: unknown) => string | undefined): PropertyDecorator {
  return ValidateBy({
    name: 'isPool',
    validator: {
      validate: (value: unknown) => problem(value) === undefined,
      defaultMessage: (args) => `${args?.property ?? ''} ${problem(args?.value) ?? ''}`,
    },
  });
}

/** Converts `true` and `false`: with implicit conversion the text `false` would be true. */
function FromTrueOrFalse(): PropertyDecorator {
  return Transform(({ obj, key, value }: { obj: Record<string, unknown>; key: string; value: unknown }) => {
    const given = obj[key];
    return given === 'true' ? true : given === 'false' ? false : typeof given === 'string' ? given : value;
  });
}

export class HostAgentConfig extends TransferConfig {
  /** Name of this host. */
  @Matches(NAME_PATTERN)
  PLINTH_HOST!: string;

  /** State directory; one agent per directory. It becomes part of mount options, so its path is of plain components. */
  @Matches(/^(?:\/[A-Za-z0-9_.@+=-]+)+$/, { message: 'PLINTH_HOST_DIR must be an absolute path of plain components' })
  PLINTH_HOST_DIR!: string;

  /** `sn-1=/path,sn-2=/path`: the storage nodes that this host has mounted. */
  @IsStorageMounts()
  PLINTH_STORAGE_MOUNTS!: string;

  @Matches(NAME_PATTERN)
  PLINTH_DATACENTER: string = 'default';

  /** `gpu=yes,rack=r1`: what containers can ask of this host. */
  @IsLabelList()
  PLINTH_LABELS: string = '';

  /**
   * Directory of Ed25519 public keys, `<keyId>.pem`: images signed with one of them are used. It is read before every
   * start.
   */
  @Matches(/^\//, { message: TRUSTED_KEYS_WANTED })
  PLINTH_TRUSTED_KEYS!: string;

  /** Where the images of containers are. */
  @IsIn(IMAGE_PLACES)
  PLINTH_IMAGES: ImagePlaces = 'attached';

  /** Directory of this host's own store; absent: `image-store` in the state directory. */
  @IsOptional()
  @Matches(/^(?:\/[A-Za-z0-9_.@+=-]+)+$/, { message: 'PLINTH_IMAGE_DIR must be an absolute path of plain components' })
  PLINTH_IMAGE_DIR?: string;

  /** Most bytes of this host's own store; absent: half of its file system. */
  @IsOptional()
  @IsInt()
  @Min(1)
  PLINTH_IMAGE_CACHE_BYTES?: number;

  /**
   * `01:00-05:00,22:30-23:00`: when images are fetched that no container and no rollout waits for, daily, UTC. Absent:
   * always.
   */
  @IsOptional()
  @IsDailyWindows()
  PLINTH_AHEAD_WINDOWS?: string;

  /** Memory for containers, bytes; several agents on one machine share what it has. */
  @IsInt()
  @Min(0)
  PLINTH_CAPACITY_MEMORY_BYTES: number = Math.floor(totalmem() * 0.8);

  @IsNumber()
  @Min(0)
  PLINTH_CAPACITY_CPUS: number = availableParallelism();

  @IsInt()
  @Min(0)
  PLINTH_CAPACITY_CONTAINERS: number = 4000;

  @IsBoolean()
  @FromTrueOrFalse()
  PLINTH_ALLOW_HOST_NETWORK: boolean = false;

  /**
   * Whether containers have users of their own. `required`: the agent does not start, and no container does, where that
   * is not possible. `preferred`: there they have the host's users. `off`: all have them.
   */
  @IsIn(USER_POLICIES)
  PLINTH_USER_NAMESPACES: UserPolicy = 'required';

  /**
   * Whether containers run without a limit of memory, processors or processes that this machine's cgroups can't hold.
   * `required`: the agent does not start there. `preferred`: they do.
   */
  @IsIn(LIMIT_POLICIES)
  PLINTH_CONTAINER_LIMITS: LimitPolicy = 'required';

  /** Whether a request may ask for the host's users. */
  @IsBoolean()
  @FromTrueOrFalse()
  PLINTH_ALLOW_HOST_USERS: boolean = false;

  @IsNumber()
  @Min(0.1)
  @Max(300)
  PLINTH_HEARTBEAT_SECONDS: number = 3;

  /** How often the counters of containers that reach their limits are read. */
  @IsNumber()
  @Min(0.1)
  @Max(300)
  PLINTH_LIMIT_CHECK_SECONDS: number = 5;

  /** Of all containers' IPv4 addresses, of every host: packets between them keep their source. */
  @IsPool(poolProblem)
  PLINTH_ADDRESS_POOL: string = ADDRESS_POOL;

  /** The same of IPv6. */
  @IsPool(prefixProblem)
  PLINTH_ADDRESS_POOL6: string = ADDRESS_POOL6;

  /** Where other hosts reach the containers of this one. Absent: the source address of the default route. */
  @IsOptional()
  @IsHostAddress()
  PLINTH_HOST_ADDRESS?: string;

  /**
   * How containers of other hosts are reached; the same on all hosts. `vxlan`: through a tunnel. `routes`: directly,
   * over a link that all hosts share and nothing else is on. `off`: not at all.
   */
  @IsIn(TUNNELS)
  PLINTH_NETWORK_TUNNEL: (typeof TUNNELS)[number] = 'vxlan';

  /** UDP port of the tunnel; the same on all hosts. */
  @IsInt()
  @Min(1)
  @Max(65_535)
  PLINTH_NETWORK_TUNNEL_PORT: number = 8_473;

  /**
   * File of a network of CNI that containers get in place of this system's: a list of plugins, such as
   * `/etc/cni/net.d/10-containers.conflist`.
   */
  @IsOptional()
  @Matches(/^\//, { message: 'PLINTH_CNI_CONFIG must be an absolute path, of a *.conflist' })
  PLINTH_CNI_CONFIG?: string;

  /** Directories of the plugins' programs, in the order in which they are searched; `:` between them. */
  @Matches(/^\/[^:]*(?::\/[^:]*)*$/, { message: 'PLINTH_CNI_PATH must be absolute paths with ":" between them' })
  PLINTH_CNI_PATH: string = CNI_DIRECTORIES;

  /** How long one plugin may take. */
  @IsInt()
  @Min(1)
  @Max(300)
  PLINTH_CNI_TIMEOUT_SECONDS: number = 20;

  /** Containers' names end so: `<container>.<tenant>.<domain>`; the same on every host. */
  @Matches(DOMAIN_PATTERN, { message: 'PLINTH_DOMAIN must be at most 125 characters of lower-case labels' })
  PLINTH_DOMAIN: string = 'plinth.internal';

  /** Where the name servers are that containers' queries for other names are sent to. */
  @Matches(/^\//)
  PLINTH_RESOLV_CONF: string = '/etc/resolv.conf';

  /** Starts in progress at the same time. */
  @IsInt()
  @Min(1)
  @Max(1024)
  PLINTH_START_CONCURRENCY: number = 2 * availableParallelism();

  /**
   * Health checks that are begun at the same time. When they take more than half of these places, their intervals get
   * longer.
   */
  @IsInt()
  @Min(1)
  @Max(1024)
  PLINTH_HEALTH_CONCURRENCY: number = Math.max(2, Math.ceil(availableParallelism() / 2));

  /**
   * How long one renewal of the host's lease on its volumes holds, seconds; 0: no leases, and its containers are never
   * started elsewhere.
   */
  @IsInt()
  @Min(0)
  @Max(3600)
  PLINTH_LEASE_SECONDS: number = 30;

  /** Size at which a container's log is rotated. */
  @IsInt()
  @Min(4096)
  PLINTH_LOG_MAX_BYTES: number = 5 * 1024 ** 2;

  /** Rotated logs that are kept besides the present one. */
  @IsInt()
  @Min(0)
  @Max(100)
  PLINTH_LOG_KEEP: number = 2;
}
