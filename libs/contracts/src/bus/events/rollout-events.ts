/** Moving many containers to another image: in batches, within budgets, halted or reverted by failures. */
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsDefined,
  IsIn,
  IsNumber,
  IsOptional,
  Matches,
  Max,
  Min,
} from 'class-validator';
import { Nested, NestedEach } from '../../nested.js';
import { IsCount, IsText, IsTimezone, IsWindowPattern } from '../../rules.js';
import { ID_PATTERN, IMAGE_REF_PATTERN, NAME_PATTERN } from '../../values.js';
import { Problem } from '../problem.js';
import { UPDATE_TARGET_PATTERN, UpdateOptions } from './update-events.js';

/**
 * Which containers a rollout moves: all that match every field that is given; at least one has to be. Decided once,
 * when the rollout begins.
 */
export class RolloutSelection {
  /** `debian-12` (any version) or `debian-12@v3`: the image they are on. */
  @IsOptional()
  @Matches(IMAGE_REF_PATTERN, { message: 'image must be a name, or a name and a version such as debian-12@v3' })
  image?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'tenant must be 1 to 63 lower-case letters, digits and inner hyphens' })
  tenant?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'host must be 1 to 63 lower-case letters, digits and inner hyphens' })
  host?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'storageNode must be 1 to 63 lower-case letters, digits and inner hyphens' })
  storageNode?: string;

  @IsOptional()
  @Matches(NAME_PATTERN, { message: 'datacenter must be 1 to 63 lower-case letters, digits and inner hyphens' })
  datacenter?: string;

  /** Those whose config follows the default image. */
  @IsOptional()
  @IsIn(['default'])
  follow?: 'default';

  /** Names or ids. */
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(1000)
  @Matches(NAME_PATTERN, { each: true, message: 'containers must be names or ids' })
  containers?: string[];
}

/** When a rollout may begin new switches. */
export class RolloutWindow {
  /** Five fields as in crontab(5): when a window opens. */
  @IsWindowPattern()
  opens!: string;

  /** How long it stays open. */
  @IsCount(1)
  @Max(7 * 1440)
  minutes!: number;

  /** Absent: UTC. */
  @IsOptional()
  @IsTimezone()
  timezone?: string;
}

export const ROLLOUT_APPROVALS = ['none', 'canary', 'batches'] as const;
export type RolloutApproval = (typeof ROLLOUT_APPROVALS)[number];

/** Asks for a rollout. The event's id is its idempotency key. */
export class RolloutRequested extends UpdateOptions {
  @IsDefined()
  @Nested(() => RolloutSelection)
  select!: RolloutSelection;

  /** `debian-12` (its default version), `debian-12@v3`, or `known-good`. */
  @Matches(UPDATE_TARGET_PATTERN, {
    message: 'to must be a name, a name and a version such as debian-12@v3, or known-good',
  })
  to!: string;

  /** Containers in the first batch; 0: no canary; absent: 1. */
  @IsOptional()
  @IsCount()
  @Max(10_000)
  canary?: number;

  /** Containers in each further batch, `5` or `10%` of all; absent: `10%`. */
  @IsOptional()
  @Matches(/^(?:[1-9]\d{0,5}|(?:[1-9]|[1-9]\d|100)%)$/, {
    message: 'batch must be a number such as "5", or a share such as "10%"',
  })
  batch?: string;

  /** Containers of one host in progress at once; absent: one batch. */
  @IsOptional()
  @IsCount(1)
  @Max(100_000)
  maxDownPerHost?: number;

  /** Containers of one tenant in progress at once; absent: one batch. */
  @IsOptional()
  @IsCount(1)
  @Max(100_000)
  maxDownPerTenant?: number;

  /** Failed switches that halt the rollout; absent: 1. */
  @IsOptional()
  @IsCount(1)
  @Max(100_000)
  maxFailures?: number;

  /** Share of a batch that has to succeed, percent; absent: 100, for any `maxFailures`. */
  @IsOptional()
  @IsCount()
  @Max(100)
  successPercent?: number;

  /** What a halted rollout does: go back with all that were switched, or wait for a person. Absent: `revert`. */
  @IsOptional()
  @IsIn(['revert', 'pause'])
  onFailure?: 'revert' | 'pause';

  @IsOptional()
  @Nested(() => RolloutWindow)
  window?: RolloutWindow;

  /** `canary`: a person approves what follows the canary; `batches`: every batch. Absent: `none`. */
  @IsOptional()
  @IsIn(ROLLOUT_APPROVALS)
  approval?: RolloutApproval;

  /**
   * Seconds that a switch may take beside its gate and soak time, and a revert altogether, before the container counts
   * as failed; absent: 600.
   */
  @IsOptional()
  @IsCount(5)
  @Max(86_400)
  deadlineSeconds?: number;

  /**
   * Seconds that it waits, before the first batch, for hosts and storage nodes to have the image; containers of those
   * that do not have it then are skipped. Absent: 1800.
   */
  @IsOptional()
  @IsCount(1)
  @Max(604_800)
  stagingSeconds?: number;
}

/** Names one rollout. */
export class RolloutActionRequested {
  @Matches(ID_PATTERN, { message: 'rolloutId must be 32 hex digits' })
  rolloutId!: string;
}
/** Begins no new switch until it is resumed; what is in progress ends by itself. */
export class RolloutPauseRequested extends RolloutActionRequested {}
export class RolloutResumeRequested extends RolloutActionRequested {}
/** Ends the rollout where it is: what is in progress ends by itself, what was switched stays. */
export class RolloutAbortRequested extends RolloutActionRequested {}
/** Goes back with everything that was switched; also for a rollout that has ended. */
export class RolloutRevertRequested extends RolloutActionRequested {}
/** Lets a rollout that waits for it go on. */
export class RolloutApprovalRequested extends RolloutActionRequested {}

export const ROLLOUT_OPERATIONS = ['start', 'pause', 'resume', 'abort', 'revert', 'approve'] as const;
export type RolloutOperation = (typeof ROLLOUT_OPERATIONS)[number];

export const ROLLOUT_REJECTION_REASONS = [
  'invalid-request',
  'nothing-selected',
  'image-unavailable',
  'rollout-not-found',
  'wrong-state',
  'internal-error',
] as const;
export type RolloutRejectionReason = (typeof ROLLOUT_REJECTION_REASONS)[number];

/** A request about a rollout was refused; nothing was changed. */
export class RolloutRejected {
  @IsIn(ROLLOUT_OPERATIONS)
  operation!: RolloutOperation;

  @IsText(200)
  requestId!: string;

  @IsIn(ROLLOUT_REJECTION_REASONS)
  reason!: RolloutRejectionReason;

  @IsText(4000)
  message!: string;

  @IsOptional()
  @Matches(ID_PATTERN)
  rolloutId?: string;

  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  problems!: Problem[];
}

/** How many containers of a rollout are where. They add up to `total`. */
export class RolloutCounts {
  @IsCount()
  total!: number;

  @IsCount()
  pending!: number;

  /** Switched, and not judged yet. */
  @IsCount()
  switching!: number;

  @IsCount()
  updated!: number;

  /** Failed, and back on known good, or on the way there. */
  @IsCount()
  failed!: number;

  /** Removed meanwhile, stopped, already there, or nowhere to go. */
  @IsCount()
  skipped!: number;

  /** Going back because the rollout does. */
  @IsCount()
  restoring!: number;

  @IsCount()
  restored!: number;
}

export const ROLLOUT_STATES = [
  'staging',
  'rolling',
  'paused',
  'reverting',
  'completed',
  'aborted',
  'reverted',
] as const;
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** What every fact about a rollout holds. */
export class RolloutFact {
  @Matches(ID_PATTERN)
  rolloutId!: string;

  /** `name@version`, or `known-good`. */
  @IsText(80)
  to!: string;

  @IsIn(ROLLOUT_STATES)
  state!: RolloutState;

  @IsDefined()
  @Nested(() => RolloutCounts)
  counts!: RolloutCounts;

  /** Why it changed, for people. */
  @IsText(4000)
  message!: string;
}

/** A rollout was accepted: its containers are chosen. */
export class RolloutStarted extends RolloutFact {
  /** Event id of the request. */
  @IsText(200)
  requestId!: string;
}

class RolloutBatchFact extends RolloutFact {
  /** 0 is the canary. */
  @IsCount()
  batch!: number;

  @IsNumber()
  @Min(0)
  size!: number;
}
export class RolloutBatchStarted extends RolloutBatchFact {}
export class RolloutBatchFinished extends RolloutBatchFact {}

/** It begins nothing new until a person resumes or approves it, or asks for the revert. */
export class RolloutPaused extends RolloutFact {
  @IsIn(['person', 'failures', 'approval'])
  because!: 'person' | 'failures' | 'approval';
}
export class RolloutResumed extends RolloutFact {}
/** It goes back with all that were switched. */
export class RolloutHalted extends RolloutFact {
  @IsIn(['person', 'failures'])
  because!: 'person' | 'failures';
}
export class RolloutCompleted extends RolloutFact {}
export class RolloutAborted extends RolloutFact {}
export class RolloutReverted extends RolloutFact {}
