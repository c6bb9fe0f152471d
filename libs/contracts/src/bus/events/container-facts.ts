/** What has become of containers, and of requests about them. */
import {
  ArrayMaxSize,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsISO8601,
  IsNumber,
  IsOptional,
  Matches,
  Min,
} from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { AreReportedAddresses, ContainerAddress, MAX_PUBLISHED_PORTS, PublishedPort } from '../../container-network.js';
import { ReachedLimit } from '../../container-limits.js';
import { Nested, NestedEach } from '../../nested.js';
import {
  DNS_NAME_PATTERN,
  EXACT_IMAGE_REF_PATTERN,
  ID_PATTERN,
  IMAGE_REF_PATTERN,
  NAME_PATTERN,
  READABLE_TEXT_PATTERN,
} from '../../values.js';
import { Problem } from '../problem.js';

export const FALLBACK_REASONS = [
  'unknown-image',
  'unknown-version',
  'not-promoted',
  'no-default-version',
  'revoked',
  'retired',
  'not-distributed',
] as const;
/** Why the default image was used instead of the one asked for. */
export type FallbackReason = (typeof FALLBACK_REASONS)[number];

/** What every fact about a container holds. */
export class ContainerFact {
  @Matches(ID_PATTERN)
  containerId!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(NAME_PATTERN)
  tenant!: string;

  @Matches(NAME_PATTERN)
  host!: string;

  /** Counts the configs of this container from 1. */
  @IsCount(1)
  generation!: number;

  /** Image used. */
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;
}

class ContainerImageFact extends ContainerFact {
  /** Image asked for, as written in the request; absent: none was named. */
  @IsOptional()
  @Matches(IMAGE_REF_PATTERN)
  imageAsked?: string;

  @IsOptional()
  @IsIn(FALLBACK_REASONS)
  fallbackReason?: FallbackReason;

  @Matches(NAME_PATTERN)
  storageNode!: string;

  /** Id of the data volume on that storage node. */
  @Matches(ID_PATTERN)
  dataVolume!: string;
}

/** A host was chosen and the container config written; the host gets it next. */
export class ContainerConfigured extends ContainerImageFact {
  /** Event id of the request. */
  @IsText(200)
  requestId!: string;
}

export const CONTAINER_OPERATIONS = ['create', 'stop', 'start', 'restart', 'remove', 'update', 'change'] as const;
export type ContainerOperation = (typeof CONTAINER_OPERATIONS)[number];

export const CONTAINER_REJECTION_REASONS = [
  'invalid-request',
  'request-id-reused',
  'name-taken',
  'image-unavailable',
  'no-default-image',
  'no-host',
  'labels-not-met',
  'affinity-not-met',
  'anti-affinity-not-met',
  'spread-not-met',
  'no-capacity',
  'no-storage-space',
  'architecture-not-offered',
  'network-not-offered',
  'disk-limit-not-offered',
  'limits-not-offered',
  'own-users-not-offered',
  'host-users-not-offered',
  'port-taken',
  'ports-exhausted',
  'address-pool-exhausted',
  'tenant-numbers-exhausted',
  'quota-exceeded',
  'container-not-found',
  'wrong-state',
  'already-on-image',
  'no-known-good',
  'update-in-progress',
  'internal-error',
] as const;
export type ContainerRejectionReason = (typeof CONTAINER_REJECTION_REASONS)[number];

/** A request about a container was refused; nothing was changed. */
export class ContainerRejected {
  @IsIn(CONTAINER_OPERATIONS)
  operation!: ContainerOperation;

  @IsText(200)
  requestId!: string;

  @IsIn(CONTAINER_REJECTION_REASONS)
  reason!: ContainerRejectionReason;

  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsText(63)
  name?: string;

  @IsOptional()
  @IsText(63)
  tenant?: string;

  @IsOptional()
  @Matches(ID_PATTERN)
  containerId?: string;

  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  problems!: Problem[];
}

/** Where the time from request to running went, milliseconds. */
export class StartPhases {
  /** Request stored on the bus → config committed. */
  @IsNumber()
  @Min(0)
  decide!: number;

  /** Config committed → agent begins. */
  @IsNumber()
  @Min(0)
  deliver!: number;

  @IsNumber()
  @Min(0)
  premount!: number;

  /** Bundle, mounts and namespaces: the runtime's create. */
  @IsNumber()
  @Min(0)
  mount!: number;

  /** The runtime's start. */
  @IsNumber()
  @Min(0)
  runtime!: number;
}

export class ContainerStarted extends ContainerImageFact {
  @IsCount(1)
  pid!: number;

  @IsISO8601()
  startedAt!: string;

  /** Request → running, milliseconds; for a restart, begin of the restart → running. */
  @IsNumber()
  @Min(0)
  durationMs!: number;

  @IsDefined()
  @Nested(() => StartPhases)
  phases!: StartPhases;

  /** Starts of this container on this host before this one. */
  @IsCount()
  restarts!: number;

  /** Whose ids its users have: its own, in a user namespace, or the host's; absent: the host's agent did not report it. */
  @IsOptional()
  @IsIn(['own', 'host'])
  users?: 'own' | 'host';
  /** Absent: its network is not `container`, or one of CNI. */
  @IsOptional()
  @Nested(() => ContainerAddress)
  address?: ContainerAddress;

  /** Of this run, given by a network of the host's (CNI); absent: `address` holds. */
  @IsOptional()
  @AreReportedAddresses()
  addresses?: string[];

  /** By which containers of its tenant, and its host, find it; absent: it has no address. */
  @IsOptional()
  @Matches(DNS_NAME_PATTERN)
  dnsName?: string;

  /** On its host; absent: none. */
  @IsOptional()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PublishedPort)
  ports?: PublishedPort[];
}

export const CONTAINER_FAILURE_REASONS = [
  'image-missing',
  'image-mismatch',
  'image-untrusted',
  'image-unavailable',
  'mount-point-not-directory',
  'mount-plan-invalid',
  'mount-script-missing',
  'mount-script-mismatch',
  'mount-script-failed',
  'mount-script-timeout',
  'data-volume-missing',
  'software-missing',
  'network-not-allowed',
  'host-users-not-allowed',
  'user-namespace-failed',
  'no-id-range',
  'network-unavailable',
  'network-failed',
  'port-taken',
  'command-not-found',
  'runtime-error',
  'start-timeout',
  'crash-loop',
  'exited',
  'no-space',
  'unhealthy',
  'revert-failed',
  'snapshot-failed',
  'lease-lost',
  'volume-held',
  'disk-limit-failed',
  'limit-not-held',
  'internal-error',
] as const;
export type ContainerFailureReason = (typeof CONTAINER_FAILURE_REASONS)[number];

/** `starting`: no check has succeeded yet. `unhealthy`: as many failed in a row as the check's `retries`. */
export const HEALTH_STATES = ['starting', 'healthy', 'unhealthy'] as const;
export type HealthState = (typeof HEALTH_STATES)[number];

/** One health check that failed. */
export class FailedCheck {
  @IsISO8601()
  at!: string;

  /** Why, such as its exit code. */
  @IsText(500)
  @Matches(READABLE_TEXT_PATTERN)
  message!: string;

  /** The end of what it printed, without control characters. */
  @IsText(1000)
  @Matches(READABLE_TEXT_PATTERN)
  output!: string;
}

export const MOVE_REASONS = ['drain', 'host-lost', 'rebalance'] as const;
export type MoveReason = (typeof MOVE_REASONS)[number];

/** A start did not succeed, or the container ended and won't be restarted. */
export class ContainerFailed extends ContainerFact {
  @IsIn(CONTAINER_FAILURE_REASONS)
  reason!: ContainerFailureReason;

  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsInt()
  exitCode?: number;

  @IsOptional()
  @IsText(16_384)
  logTail?: string;

  /** Absent: the agent won't try again by itself. */
  @IsOptional()
  @IsCount()
  retryInMs?: number;
}

export const STOP_CAUSES = ['requested', 'exited', 'unhealthy'] as const;
/** `unhealthy`: its restart policy has ended it, and starts it again. */
export type StopCause = (typeof STOP_CAUSES)[number];

export class ContainerStopped extends ContainerFact {
  @IsIn(STOP_CAUSES)
  cause!: StopCause;

  @IsOptional()
  @IsInt()
  exitCode?: number;

  /** Present when the restart policy starts it again. */
  @IsOptional()
  @IsCount()
  restartInMs?: number;
}

/** Its health check succeeds: for the first time since its start, or again. */
export class ContainerHealthy extends ContainerFact {
  /** What it was before. */
  @IsIn(['starting', 'unhealthy'])
  from!: 'starting' | 'unhealthy';
}

/** Its health check failed as often in a row as its `retries`. */
export class ContainerUnhealthy extends ContainerFact {
  @IsText(4000)
  message!: string;

  /** The last ones, oldest first. */
  @ArrayMaxSize(5)
  @NestedEach(() => FailedCheck)
  failedChecks!: FailedCheck[];

  /** Its restart policy stops it and starts it again; false: it goes on as it is. */
  @IsBoolean()
  willRestart!: boolean;
}

/** It reached one of its limits. Reported at most once a minute for each container and limit, with the count since then. */
export class ContainerLimited extends ContainerFact {
  @IsDefined()
  @Nested(() => ReachedLimit)
  reached!: ReachedLimit;
}

export class ContainerRemoved extends ContainerFact {}

/** Its host is lost; what it does there is not known. */
export class ContainerLost extends ContainerFact {}

/** A container is placed on another host; there it is started again. */
export class ContainerMoved extends ContainerFact {
  /** Where it was; `host` is where it is now. */
  @Matches(NAME_PATTERN)
  from!: string;

  /** `host-lost`: its lease on the data volume had run out. */
  @IsIn(MOVE_REASONS)
  reason!: MoveReason;
}
