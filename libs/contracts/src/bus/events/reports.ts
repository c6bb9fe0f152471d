/**
 * What hosts and storage nodes report under their own name; the provisioner checks it and publishes the official fact.
 */
import { ArrayMaxSize, IsIn, IsInt, IsISO8601, IsNumber, IsOptional, Matches, Min } from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { ReachedLimit } from '../../container-limits.js';
import { AreReportedAddresses } from '../../container-network.js';
import { Nested, NestedEach } from '../../nested.js';
import {
  DIGEST_PATTERN,
  DNS_NAME_PATTERN,
  EXACT_IMAGE_REF_PATTERN,
  ID_PATTERN,
  NAME_PATTERN,
  VERSION_PATTERN,
} from '../../values.js';
import { CHANGEABLE_PARTS, PendingPart } from './change-events.js';
import {
  CONTAINER_FAILURE_REASONS,
  type ContainerFailureReason,
  FailedCheck,
  HEALTH_STATES,
  type HealthState,
  STOP_CAUSES,
  type StopCause,
} from './container-facts.js';
import { DISTRIBUTION_FAILURE_REASONS, type DistributionFailureReason } from './image-events.js';

/**
 * `released`: the host has given the container up, which is moved to another. `healthy`, `unhealthy`: its health
 * changed while it runs. The last four are about an update: `updated` (passed gate and soak time), `reverting` (failed,
 * with the cause), `reverted` (runs on the image before again, with the same cause), `update-refused` (nothing was
 * touched: the image can't be started on this host). `limited`: it reached a limit, and goes on or was killed.
 */
export const CONTAINER_REPORT_KINDS = [
  'starting',
  'started',
  'stopping',
  'stopped',
  'failed',
  'removed',
  'released',
  'healthy',
  'unhealthy',
  'updated',
  'reverting',
  'reverted',
  'update-refused',
  'limited',
] as const;
export type ContainerReportKind = (typeof CONTAINER_REPORT_KINDS)[number];

/** The agent's part of the start phases, milliseconds; see StartPhases. */
export class AgentPhases {
  @IsNumber()
  @Min(0)
  premount!: number;

  @IsNumber()
  @Min(0)
  mount!: number;

  @IsNumber()
  @Min(0)
  runtime!: number;
}

/** `report.host.<host>.container.<id>`: one change of one container, in the order in which it happened. */
export class ContainerReport {
  @IsIn(CONTAINER_REPORT_KINDS)
  kind!: ContainerReportKind;

  @Matches(NAME_PATTERN)
  host!: string;

  @Matches(ID_PATTERN)
  containerId!: string;

  /** Generation of the config that the agent acted on. */
  @IsCount(1)
  generation!: number;

  /**
   * Grows by one with every report of this container from this host, over restarts of the agent too; a lower one is
   * stale.
   */
  @IsCount(1)
  sequence!: number;

  /** Sequence of the report before this one, which has to be taken first; absent: the agent knows of none. */
  @IsOptional()
  @IsCount(1)
  after?: number;

  @IsISO8601()
  at!: string;

  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image?: string;

  /** started */
  @IsOptional()
  @IsCount(1)
  pid?: number;

  /** started: when the agent began to act on the config; the provisioner derives `deliver` from it. */
  @IsOptional()
  @IsISO8601()
  begunAt?: string;

  /** started */
  @IsOptional()
  @IsISO8601()
  startedAt?: string;

  /** started */
  @IsOptional()
  @Nested(() => AgentPhases)
  phases?: AgentPhases;

  /** started: starts of this container on this host before this one. */
  @IsOptional()
  @IsCount()
  restarts?: number;

  /** started: whose ids its users have, its own or the host's; absent: the agent is older than user namespaces. */
  @IsOptional()
  @IsIn(['own', 'host'])
  users?: 'own' | 'host';

  /** started: what a network of the host's (CNI) has given it; absent: its addresses are those of its config. */
  @IsOptional()
  @AreReportedAddresses()
  addresses?: string[];

  /** started: by which others find it; absent: it has no address. */
  @IsOptional()
  @Matches(DNS_NAME_PATTERN)
  dnsName?: string;

  /** stopped */
  @IsOptional()
  @IsIn(STOP_CAUSES)
  cause?: StopCause;

  /** stopped, failed: 128 + n when signal n ended it. */
  @IsOptional()
  @IsInt()
  exitCode?: number;

  /** started, healthy, unhealthy: of the run that the report is about; absent: it has no health check. */
  @IsOptional()
  @IsIn(HEALTH_STATES)
  health?: HealthState;

  /** unhealthy: the last ones, oldest first. */
  @IsOptional()
  @ArrayMaxSize(5)
  @NestedEach(() => FailedCheck)
  failedChecks?: FailedCheck[];

  /** unhealthy: its restart policy stops it and starts it again. */
  @IsOptional()
  @IsIn([true, false])
  willRestart?: boolean;

  /** failed, reverting, reverted, update-refused */
  @IsOptional()
  @IsIn(CONTAINER_FAILURE_REASONS)
  reason?: ContainerFailureReason;

  /** failed, unhealthy, stopped because of that */
  @IsOptional()
  @IsText(4000)
  message?: string;

  @IsOptional()
  @IsText(16_384)
  logTail?: string;

  /** updated, reverting, reverted, update-refused */
  @IsOptional()
  @Matches(ID_PATTERN)
  updateId?: string;

  /** reverting, reverted: the image that failed; `image` is the one that runs. */
  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  failedImage?: string;

  /** reverting, reverted: what the failing health check printed. */
  @IsOptional()
  @IsText(4000)
  checkOutput?: string;

  /** reverted: the gate's verdict → running again, milliseconds. */
  @IsOptional()
  @IsNumber()
  @Min(0)
  durationMs?: number;

  /** started: what of the config the run does not have, since it was changed while it ran; absent: it has all. */
  @IsOptional()
  @ArrayMaxSize(CHANGEABLE_PARTS.length)
  @NestedEach(() => PendingPart)
  pending?: PendingPart[];

  /** limited */
  @IsOptional()
  @Nested(() => ReachedLimit)
  reached?: ReachedLimit;

  /** stopped, failed: the agent starts it again by itself after this time. */
  @IsOptional()
  @IsCount()
  retryInMs?: number;
}

/** `report.node.<node>.image`: one change of one master on one storage node. */
export class MasterReport {
  @IsIn(['distributed', 'failed', 'removed'])
  kind!: 'distributed' | 'failed' | 'removed';

  @Matches(NAME_PATTERN)
  node!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;

  @IsISO8601()
  at!: string;

  @IsOptional()
  @Matches(DIGEST_PATTERN)
  contentDigest?: string;

  @IsOptional()
  @Matches(DIGEST_PATTERN)
  mountScriptDigest?: string;

  @IsOptional()
  @IsCount()
  downloadedBytes?: number;

  @IsOptional()
  @IsCount()
  unpackedBytes?: number;

  @IsOptional()
  @IsNumber()
  @Min(0)
  durationMs?: number;

  @IsOptional()
  @IsIn(DISTRIBUTION_FAILURE_REASONS)
  reason?: DistributionFailureReason;

  @IsOptional()
  @IsText(2000)
  message?: string;

  @IsOptional()
  @IsCount(1)
  attempt?: number;

  @IsOptional()
  @IsCount()
  retryInMs?: number;
}
