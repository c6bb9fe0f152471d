/**
 * The bodies of `status.*`: the present state of each container, host, storage node and build, the last value of each
 * kept. Rollouts: rollout-status.ts.
 */
import {
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsISO8601,
  IsNumber,
  IsObject,
  IsOptional,
  Matches,
  Max,
  Min,
} from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { DESIRED_STATES, type DesiredState } from '../container-config.js';
import {
  HOST_LIMITS,
  type HostLimit,
  IO_CONTROLS,
  type IoControl,
  REACHABLE_LIMITS,
  ReachedLimit,
} from '../container-limits.js';
import {
  AreReportedAddresses,
  CNI_NETWORK_PATTERN,
  ContainerAddress,
  IsHostAddress,
  MAX_PUBLISHED_PORTS,
  PublishedPort,
} from '../container-network.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { EXACT_IMAGE_REF_PATTERN, ID_PATTERN, IMAGE_REF_PATTERN, NAME_PATTERN, VERSION_PATTERN } from '../values.js';
import {
  CONTAINER_FAILURE_REASONS,
  type ContainerFailureReason,
  FALLBACK_REASONS,
  type FallbackReason,
  HEALTH_STATES,
  type HealthState,
} from './events/container-facts.js';
import { HOST_USERS, HostCapacity, HostLoad, type HostUsers, ImageTransfer } from './events/heartbeats.js';

export const CONTAINER_STATES = [
  'requested',
  'scheduled',
  'starting',
  'running',
  'stopping',
  'stopped',
  'failed',
  'lost',
  'removed',
] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];

export const UPDATE_STATES = ['switching', 'updated', 'reverting', 'reverted', 'refused'] as const;
export type UpdateState = (typeof UPDATE_STATES)[number];

/** The last change of a container's image. */
export class UpdateStatus {
  @Matches(ID_PATTERN)
  readonly updateId!: string;

  @IsNullable()
  @Matches(ID_PATTERN)
  readonly rolloutId!: string | null;

  /** `switching`: until gate and soak time are over. */
  @IsIn(UPDATE_STATES)
  readonly state!: UpdateState;

  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly from!: string;

  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly to!: string;

  @IsNullable()
  @IsIn(CONTAINER_FAILURE_REASONS)
  readonly reason!: ContainerFailureReason | null;

  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsISO8601()
  readonly at!: string;
}

/** A row of `ps --json`; the body of `status.container.<id>`. */
export class ContainerStatus {
  @Matches(ID_PATTERN)
  readonly id!: string;

  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(NAME_PATTERN)
  readonly tenant!: string;

  @IsIn(CONTAINER_STATES)
  readonly state!: ContainerState;

  @IsIn(DESIRED_STATES)
  readonly desired!: DesiredState;

  @IsNullable()
  @Matches(NAME_PATTERN)
  readonly host!: string | null;

  @IsNullable()
  @Matches(NAME_PATTERN)
  readonly storageNode!: string | null;

  /** Image used, `name@version`. */
  @IsNullable()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly image!: string | null;

  @IsNullable()
  @Matches(IMAGE_REF_PATTERN)
  readonly imageAsked!: string | null;

  @IsNullable()
  @IsIn(FALLBACK_REASONS)
  readonly fallbackReason!: FallbackReason | null;

  @IsNullable()
  @IsCount(1)
  readonly pid!: number | null;

  @IsISO8601()
  readonly requestedAt!: string;

  @IsNullable()
  @IsISO8601()
  readonly startedAt!: string | null;

  @IsCount()
  readonly restarts!: number;

  @IsNullable()
  @IsInt()
  readonly exitCode!: number | null;

  /** Why it failed or waits, for people. */
  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsCount(1)
  readonly generation!: number;

  /** `name@version` on which it stayed healthy for a soak time, newest of them. */
  @IsNullable()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly knownGood!: string | null;

  @IsNullable()
  @Nested(() => UpdateStatus)
  readonly update!: UpdateStatus | null;

  /** null: it does not run, or has no health check. */
  @IsNullable()
  @IsIn(HEALTH_STATES)
  readonly health!: HealthState | null;

  /** null: its network is not `container`, or one of CNI. */
  @IsNullable()
  @Nested(() => ContainerAddress)
  readonly address!: ContainerAddress | null;

  /** Of this run, given by a network of the host's (CNI); empty while it does not run. null: `address` holds. */
  @IsOptional()
  @IsNullable()
  @AreReportedAddresses()
  readonly addresses!: readonly string[] | null;

  /** Of its host; empty: none. */
  @IsOptional()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PublishedPort)
  readonly ports!: readonly PublishedPort[];

  /** Of each limit that it ever reached, the last time; empty: none. */
  @IsOptional()
  @ArrayMaxSize(REACHABLE_LIMITS.length)
  @NestedEach(() => ReachedLimit)
  readonly limitsReached!: readonly ReachedLimit[];
}

/** `suspect`: heartbeats are missing; nothing new is placed there, nothing is moved yet. */
export const HOST_STATES = ['ready', 'suspect', 'lost'] as const;
export type HostState = (typeof HOST_STATES)[number];

/** A host that is being emptied. */
export class DrainStatus {
  /** Containers that are still on it. */
  @IsCount()
  readonly left!: number;

  /** Why those that are left stay, for people. */
  @IsNullable()
  @IsText(4000)
  readonly waiting!: string | null;
}

/** A row of `hosts --json`; the body of `status.host.<host>`. */
export class HostStatus {
  @Matches(NAME_PATTERN)
  readonly host!: string;

  @IsIn(HOST_STATES)
  readonly state!: HostState;

  /** Nothing new is placed on it. */
  @IsBoolean()
  readonly cordoned!: boolean;

  /** Set while it is being emptied. */
  @IsNullable()
  @Nested(() => DrainStatus)
  readonly drain!: DrainStatus | null;

  @Matches(NAME_PATTERN)
  readonly datacenter!: string;

  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  readonly storageNodes!: readonly string[];

  @IsDefined()
  @Nested(() => HostCapacity)
  readonly capacity!: HostCapacity;

  /** What containers placed here may use at the most. */
  @IsDefined()
  @Nested(() => HostCapacity)
  readonly allocated!: HostCapacity;

  @IsDefined()
  @Nested(() => HostLoad)
  readonly load!: HostLoad;

  @IsText(200)
  readonly runtime!: string;

  /** Whether containers here can have an address of their own. */
  @IsOptional()
  @IsBoolean()
  readonly network!: boolean;

  /** Name of the network of CNI that they get; null: this system's. */
  @IsOptional()
  @IsNullable()
  @Matches(CNI_NETWORK_PATTERN)
  readonly cniNetwork!: string | null;

  /** Storage nodes on which it can hold a data volume to its limit. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  readonly diskLimits!: readonly string[];

  /** What of a container's input and output it can limit. */
  @IsOptional()
  @IsArray()
  @IsIn(IO_CONTROLS, { each: true })
  readonly ioLimits!: readonly IoControl[];

  /** Limits that it can't hold, as far as is known. */
  @IsOptional()
  @IsArray()
  @IsIn(HOST_LIMITS, { each: true })
  readonly missingLimits?: readonly HostLimit[];

  /** Storage nodes on which containers have users of their own; null: not known. */
  @IsNullable()
  @IsArray()
  @ArrayMaxSize(256)
  @Matches(NAME_PATTERN, { each: true })
  readonly ownUsers!: readonly string[] | null;

  /** When containers have the host's users; null: not known. */
  @IsNullable()
  @IsIn(HOST_USERS)
  readonly hostUsers!: HostUsers | null;

  /** Where other hosts reach this one's containers; null: they do not. */
  @IsNullable()
  @IsHostAddress()
  readonly address!: string | null;

  /** In effect: those that its agent reports and, stronger, those that operators set. */
  @IsOptional()
  @IsObject()
  readonly labels!: Readonly<Record<string, string>>;

  /** The ones that operators set. */
  @IsOptional()
  @IsObject()
  readonly labelsSet!: Readonly<Record<string, string>>;

  /** `name@version` that stand complete in its own store; null: it has none. */
  @IsOptional()
  @IsNullable()
  @IsArray()
  @ArrayMaxSize(1000)
  @Matches(EXACT_IMAGE_REF_PATTERN, { each: true })
  readonly images!: readonly string[] | null;

  /** What it is fetching. */
  @IsOptional()
  @ArrayMaxSize(32)
  @NestedEach(() => ImageTransfer)
  readonly transfers?: readonly ImageTransfer[];

  @IsISO8601()
  readonly lastSeenAt!: string;
}

export const STORAGE_STATES = ['ready', 'lost'] as const;
export type StorageState = (typeof STORAGE_STATES)[number];

/** A row of `storage --json`; the body of `status.storage.<node>`. */
export class StorageStatus {
  @Matches(NAME_PATTERN)
  readonly node!: string;

  @IsIn(STORAGE_STATES)
  readonly state!: StorageState;

  @Matches(NAME_PATTERN)
  readonly datacenter!: string;

  @IsObject()
  readonly labels!: Readonly<Record<string, string>>;

  @IsCount()
  readonly totalBytes!: number;

  @IsCount()
  readonly freeBytes!: number;

  /** `name@version` of each master. */
  @IsArray()
  @ArrayMaxSize(10_000)
  @Matches(EXACT_IMAGE_REF_PATTERN, { each: true })
  readonly images!: readonly string[];

  @IsCount()
  readonly volumes!: number;

  /** What it is fetching. */
  @IsOptional()
  @ArrayMaxSize(32)
  @NestedEach(() => ImageTransfer)
  readonly transfers?: readonly ImageTransfer[];

  @IsISO8601()
  readonly lastSeenAt!: string;
}

export const IMAGE_STATES = ['building', 'built', 'tested', 'promoted', 'revoked', 'rejected', 'retired'] as const;
export type ImageState = (typeof IMAGE_STATES)[number];

/** `status.image.<name>`: where a build is. */
export class ImageBuildStatus {
  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(VERSION_PATTERN)
  readonly version!: string;

  @Matches(ID_PATTERN)
  readonly buildId!: string;

  @IsText(200)
  readonly requestId!: string;

  @IsIn(IMAGE_STATES)
  readonly state!: ImageState;

  /** e.g. `bootstrap`, `customise`, `manifest`, `archive`, `test`. */
  @IsText(100)
  readonly phase!: string;

  /** 0 to 1, over the whole build and test. */
  @IsNumber()
  @Min(0)
  @Max(1)
  readonly fraction!: number;

  @IsISO8601()
  readonly at!: string;
}
