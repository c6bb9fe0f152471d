/**
 * What hosts and storage nodes report of themselves every few seconds, on core NATS: a lost one is replaced by the
 * next.
 */
import {
  ArrayMaxSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsISO8601,
  IsNumber,
  IsObject,
  IsOptional,
  IsUrl,
  Matches,
  Max,
  MaxLength,
  Min,
} from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { HOST_LIMITS, type HostLimit, IO_CONTROLS, type IoControl } from '../../container-limits.js';
import { CNI_NETWORK_PATTERN, IsHostAddress, MAX_TENANT_NUMBER } from '../../container-network.js';
import { Nested, NestedEach } from '../../nested.js';
import { AreLabels, type Labels } from '../../placement-rules.js';
import { DIGEST_PATTERN, EXACT_IMAGE_REF_PATTERN, ID_PATTERN, NAME_PATTERN, VERSION_PATTERN } from '../../values.js';

/** `http` or `https`, with nothing behind the path. */
export function IsServingUrl(): PropertyDecorator {
  const isUrl = IsUrl({
    require_tld: false,
    protocols: ['http', 'https'],
    require_protocol: true,
    allow_query_components: false,
    allow_fragments: false,
    disallow_auth: true,
  });
  return (target, property) => {
    MaxLength(300)(target, property);
    isUrl(target, property);
  };
}

/** A version that a machine is fetching. */
export class ImageTransfer {
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;

  /** Base URL of the version at the machine that sends it; absent: none does yet. */
  @IsOptional()
  @IsText(400)
  source?: string;

  /** Of what is fetched: an archive or a difference as it is sent, contents from other nodes and hosts as they unpack. */
  @IsCount()
  bytes!: number;

  /** Of how many; absent: not known yet. */
  @IsOptional()
  @IsCount()
  ofBytes?: number;
}

/** As many as one machine fetches at once. */
const MOST_TRANSFERS = 32;

export class HostCapacity {
  /** Memory for containers, bytes. */
  @IsCount()
  memoryBytes!: number;

  /** Cores. */
  @IsNumber()
  @Min(0)
  cpus!: number;

  @IsCount()
  containers!: number;
}

export class HostLoad {
  /** Load average of the last minute. */
  @IsNumber()
  @Min(0)
  load1!: number;

  @IsCount()
  memoryUsedBytes!: number;

  /** Containers that run. */
  @IsCount()
  containers!: number;
}

/**
 * When containers have the users of their host: on `request`; as a `fallback` where they can't have their own;
 * `request-or-fallback`; `always`; `never`.
 */
export const HOST_USERS = ['never', 'request', 'fallback', 'request-or-fallback', 'always'] as const;
export type HostUsers = (typeof HOST_USERS)[number];

/** The policy of one tenant that a host holds its containers to. */
export class PolicyInEffect {
  @IsCount(1)
  @Max(MAX_TENANT_NUMBER)
  tenantNumber!: number;

  @IsCount(1)
  revision!: number;
}

/** `heartbeat.host.<host>`, every few seconds on core NATS. */
export class HostHeartbeat {
  @Matches(NAME_PATTERN)
  host!: string;

  /** Random per start of the agent. */
  @Matches(ID_PATTERN)
  incarnation!: string;

  @IsISO8601()
  at!: string;

  @Matches(NAME_PATTERN)
  datacenter!: string;

  /** Storage nodes whose master repository and volumes this host has mounted. */
  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  storageNodes!: string[];

  @IsDefined()
  @Nested(() => HostCapacity)
  capacity!: HostCapacity;

  @IsDefined()
  @Nested(() => HostLoad)
  load!: HostLoad;

  /** e.g. `crun 1.8.1`. */
  @IsText(200)
  runtime!: string;

  /** Whether containers here can have an address of their own; absent: no. */
  @IsOptional()
  @IsBoolean()
  network?: boolean;

  /** Name of the network of CNI that they get; absent: this system's, with its rules between tenants. */
  @IsOptional()
  @Matches(CNI_NETWORK_PATTERN)
  cniNetwork?: string;

  /** Storage nodes on which this host can hold a data volume to its limit; absent: none. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  diskLimits?: string[];

  /** What of a container's input and output this host's kernel can limit; absent: nothing. */
  @IsOptional()
  @IsArray()
  @ArrayUnique()
  @IsIn(IO_CONTROLS, { each: true })
  ioLimits?: IoControl[];

  /** Limits that this host can't hold, on one of its storage nodes at least; absent: not known. */
  @IsOptional()
  @IsArray()
  @ArrayUnique()
  @IsIn(HOST_LIMITS, { each: true })
  missingLimits?: HostLimit[];

  /** Storage nodes on which containers have users of their own here; absent: not known. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  ownUsers?: string[];

  /** When containers have the host's users here; absent: not known. */
  @IsOptional()
  @IsIn(HOST_USERS)
  hostUsers?: HostUsers;

  /** Where other hosts reach this one's containers; absent: they do not. */
  @IsOptional()
  @IsHostAddress()
  address?: string;

  /** Its own, `arch` among them; absent: none. */
  @IsOptional()
  @AreLabels(true)
  labels?: Labels;

  /** Policies of tenants that are in effect here; absent: none. */
  @IsOptional()
  @ArrayMaxSize(MAX_TENANT_NUMBER)
  @NestedEach(() => PolicyInEffect)
  tenantPolicies?: PolicyInEffect[];

  /** `name@version` that stand complete in its own store; absent: it has no store, only attached storage nodes. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(1000)
  @ArrayUnique()
  @Matches(EXACT_IMAGE_REF_PATTERN, { each: true })
  images?: string[];

  /** What it is fetching; absent: nothing. */
  @IsOptional()
  @ArrayMaxSize(MOST_TRANSFERS)
  @NestedEach(() => ImageTransfer)
  transfers?: ImageTransfer[];

  /** Where others can fetch what its store holds: `/images/<name>/<version>` is below it; absent: nowhere. */
  @IsOptional()
  @IsServingUrl()
  servesAt?: string;
}

/** One master that stands complete. */
export class MasterSummary {
  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;

  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @Matches(DIGEST_PATTERN)
  mountScriptDigest!: string;

  /** The node has received that nothing new may start on it. */
  @IsOptional()
  @IsIn([true, false])
  revoked?: boolean;
}

/** A host's lease on the data volumes of one storage node, as that node sees it. */
export class LeaseSummary {
  @Matches(NAME_PATTERN)
  host!: string;

  /** Random per renewal. */
  @Matches(ID_PATTERN)
  renewal!: string;

  /** For how long one renewal holds, seconds. */
  @IsCount(1)
  @Max(86_400)
  ttlSeconds!: number;

  /** How long the node has seen this renewal and no newer one, by its own monotonic clock, milliseconds. */
  @IsCount()
  unrenewedMs!: number;
}

/** What the data volumes of a tenant take of one storage node. */
export class TenantDiskUse {
  @Matches(NAME_PATTERN)
  tenant!: string;

  /** Allocated on the disk. */
  @IsCount()
  bytes!: number;
}

/** `heartbeat.storage.<node>`, every few seconds on core NATS; also what makes the provisioner's view whole again. */
export class StorageHeartbeat {
  @Matches(NAME_PATTERN)
  node!: string;

  @IsISO8601()
  at!: string;

  @Matches(NAME_PATTERN)
  datacenter!: string;

  @IsObject()
  labels!: Record<string, string>;

  @IsCount()
  totalBytes!: number;

  @IsCount()
  freeBytes!: number;

  @ArrayMaxSize(10_000)
  @NestedEach(() => MasterSummary)
  images!: MasterSummary[];

  /** Leases of every host that has mounted the node. */
  @IsOptional()
  @ArrayMaxSize(10_000)
  @NestedEach(() => LeaseSummary)
  leases?: LeaseSummary[];

  /** Use of every tenant with a volume here; absent: not measured since it was last reported. */
  @IsOptional()
  @ArrayMaxSize(100_000)
  @NestedEach(() => TenantDiskUse)
  tenants?: TenantDiskUse[];

  /** What it is fetching; absent: nothing. */
  @IsOptional()
  @ArrayMaxSize(MOST_TRANSFERS)
  @NestedEach(() => ImageTransfer)
  transfers?: ImageTransfer[];

  /** Where others can fetch its images: `/images/<name>/<version>` is below it; absent: nowhere. */
  @IsOptional()
  @IsServingUrl()
  servesAt?: string;
}
