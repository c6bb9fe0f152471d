/** The container config: everything about one container, the image name and version among it (US 9,075,638). */
import { ArrayMaxSize, IsDefined, IsIn, IsISO8601, IsNumber, IsOptional, Matches, Max, Min } from 'class-validator';
import { Bandwidth, IoLimits, LEAST_DISK, LEAST_OPEN_FILES } from './container-limits.js';
import {
  CONTAINER_NETWORKS,
  ContainerAddress,
  type ContainerNetwork,
  EgressPolicy,
  MAX_PUBLISHED_PORTS,
  MAX_TENANT_NUMBER,
  PublishedPort,
} from './container-network.js';
import { Nested, NestedEach } from './nested.js';
import { AffinityRule, LabelConstraint, MAX_CONSTRAINTS, SpreadRule } from './placement-rules.js';
import { TenantPolicy } from './tenant-egress.js';
import { FALLBACK_REASONS, type FallbackReason } from './bus/events/container-facts.js';
import { RestartPolicy } from './bus/events/container-requests.js';
import { IsCommand, IsCount, IsEnvironment, IsTimezone } from './rules.js';
import {
  DIGEST_PATTERN,
  EXACT_IMAGE_REF_PATTERN,
  ID_PATTERN,
  IMAGE_REF_PATTERN,
  NAME_PATTERN,
  SOFTWARE_PATH_PATTERN,
} from './values.js';

/** `released`: the host gives the container up, because it is moved to another; its data volume stays. */
export const DESIRED_STATES = ['running', 'stopped', 'removed', 'released'] as const;
export type DesiredState = (typeof DESIRED_STATES)[number];

/** Limits with every default filled in. */
export class EffectiveLimits {
  @IsCount(4 * 1024 ** 2)
  memoryBytes!: number;

  @IsNumber()
  @Min(0.01)
  cpus!: number;

  @IsCount(1)
  pids!: number;

  /** Of the data volume, bytes; absent: not limited. */
  @IsOptional()
  @IsCount(LEAST_DISK)
  diskBytes?: number;

  /** That one process may have open; absent: written before there was a limit. */
  @IsOptional()
  @IsCount(LEAST_OPEN_FILES)
  openFiles?: number;

  @IsOptional()
  @Nested(() => IoLimits)
  io?: IoLimits;
}

/** A health check with every default filled in. */
export class EffectiveHealthCheck {
  @IsCommand()
  exec!: string[];

  @IsNumber()
  @Min(0.1)
  intervalSeconds!: number;

  @IsNumber()
  @Min(0.1)
  timeoutSeconds!: number;

  @IsCount(1)
  retries!: number;

  @IsNumber()
  @Min(0)
  startPeriodSeconds!: number;
}

/** What a failed update goes back to. */
export class KnownGood {
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;

  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  /**
   * The run generation before the update: a container that was started at it needs no restart when the update is
   * refused.
   */
  @IsCount(1)
  runGeneration!: number;
}

/**
 * The image of this config is on trial: the agent starts it, judges it (start result, health check or staying up, soak
 * time), and goes back to `knownGood` by itself when it fails. Absent: the image is taken as it is.
 */
export class ImageUpdate {
  @Matches(ID_PATTERN)
  updateId!: string;

  @IsOptional()
  @Matches(ID_PATTERN)
  rolloutId?: string;

  @IsDefined()
  @Nested(() => KnownGood)
  knownGood!: KnownGood;

  /** Gate of a container without a health check: it has to stay up this long. */
  @IsNumber()
  @Min(0)
  stableSeconds!: number;

  /** Counted from the gate. */
  @IsNumber()
  @Min(0)
  soakSeconds!: number;

  @IsOptional()
  @IsIn([true, false])
  snapshotData?: boolean;
}

/**
 * The host that held the data volume is lost: the new one takes the volume only while the lost one's lease is still the
 * one that has run out.
 */
export class VolumeTakeover {
  /** The host that held it. */
  @Matches(NAME_PATTERN)
  from!: string;

  /** The last renewal of its lease on the volume's storage node; another one means that it lives. */
  @Matches(ID_PATTERN)
  renewal!: string;
}

/** `desired.host.<host>.container.<id>`: written by the provisioner, kept on disk by the host agent. */
export class ContainerConfig {
  @Matches(ID_PATTERN)
  containerId!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(NAME_PATTERN)
  tenant!: string;

  @Matches(NAME_PATTERN)
  host!: string;

  /** Grows with every change; an agent ignores a lower one. */
  @IsCount(1)
  generation!: number;

  /** Generation at which a fresh start was last asked for; a container started at a lower one is restarted. */
  @IsCount(1)
  runGeneration!: number;

  @IsIn(DESIRED_STATES)
  desired!: DesiredState;

  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;

  /** The agent refuses a master whose manifest has another. */
  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @IsOptional()
  @Matches(IMAGE_REF_PATTERN)
  imageAsked?: string;

  @IsOptional()
  @IsIn(FALLBACK_REASONS)
  fallbackReason?: FallbackReason;

  @Matches(NAME_PATTERN)
  storageNode!: string;

  /** Directory `volumes/<dataVolume>` of that storage node. */
  @Matches(ID_PATTERN)
  dataVolume!: string;

  /** Lost hosts that held the volume and may not have given it up, oldest first; absent: none did. */
  @IsOptional()
  @ArrayMaxSize(16)
  @NestedEach(() => VolumeTakeover)
  takeovers?: VolumeTakeover[];

  /** It ran on another host before: the data volume must be there, and is never silently made again. */
  @IsOptional()
  @IsIn([true])
  volumeMade?: true;

  /** removed: delete the data volume too. */
  @IsOptional()
  @IsIn([true, false])
  deleteData?: boolean;

  @IsOptional()
  @Matches(SOFTWARE_PATH_PATTERN)
  software?: string;

  @IsEnvironment()
  env!: Record<string, string>;

  /** Absent: the image's. */
  @IsOptional()
  @IsTimezone()
  timezone?: string;

  /** Absent: the image's. */
  @IsOptional()
  @IsCommand()
  command?: string[];

  @IsDefined()
  @Nested(() => EffectiveLimits)
  limits!: EffectiveLimits;

  @IsDefined()
  @Nested(() => RestartPolicy)
  restart!: RestartPolicy;

  /** `container` without an address is `isolated`. */
  @IsIn(CONTAINER_NETWORKS)
  network!: ContainerNetwork;

  @IsOptional()
  @Nested(() => ContainerAddress)
  address?: ContainerAddress;

  /** One per tenant, given out once; present where there is an address. */
  @IsOptional()
  @IsCount(1)
  @Max(MAX_TENANT_NUMBER)
  tenantNumber?: number;

  @IsOptional()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PublishedPort)
  ports?: PublishedPort[];

  /** Absent: `allow`. */
  @IsOptional()
  @Nested(() => EgressPolicy)
  egress?: EgressPolicy;

  /**
   * What its tenant may reach, as it was when the container was placed on this host: it holds until the host has a
   * newer one. Absent: none was set.
   */
  @IsOptional()
  @Nested(() => TenantPolicy)
  tenantPolicy?: TenantPolicy;

  /** Absent: no limit. */
  @IsOptional()
  @Nested(() => Bandwidth)
  bandwidth?: Bandwidth;

  /** Its users are the host's: no user namespace. Only where the host's agent allows that. */
  @IsOptional()
  @IsIn([true])
  hostUsers?: true;

  /** Absent: the image's. */
  @IsOptional()
  @Matches(/^SIG[A-Z0-9+-]{2,10}$/)
  stopSignal?: string;

  @IsCount()
  @Max(3600)
  stopGraceSeconds!: number;

  @IsOptional()
  @Nested(() => EffectiveHealthCheck)
  health?: EffectiveHealthCheck;

  /** `default`: activation of another default image moves it there by a rollout. */
  @IsOptional()
  @IsIn(['default'])
  follow?: 'default';

  @IsOptional()
  @Nested(() => ImageUpdate)
  update?: ImageUpdate;

  /** What labels its hosts have to have; absent: none. */
  @IsOptional()
  @ArrayMaxSize(MAX_CONSTRAINTS)
  @NestedEach(() => LabelConstraint)
  constraints?: LabelConstraint[];

  /** Of its tenant; absent: none. */
  @IsOptional()
  @Matches(NAME_PATTERN)
  group?: string;

  @IsOptional()
  @Nested(() => SpreadRule)
  spread?: SpreadRule;

  @IsOptional()
  @Nested(() => AffinityRule)
  affinity?: AffinityRule;

  @IsOptional()
  @Nested(() => AffinityRule)
  antiAffinity?: AffinityRule;

  /** When the request reached the bus. */
  @IsISO8601()
  requestedAt!: string;

  /** When this config was committed. */
  @IsISO8601()
  decidedAt!: string;
}
