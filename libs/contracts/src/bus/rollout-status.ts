/** The body of `status.rollout.<id>`: where a rollout is, and why it waits. */
import { IsDefined, IsIn, IsISO8601, Matches } from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { IsNullable, Nested } from '../nested.js';
import { ID_PATTERN } from '../values.js';
import { ROLLOUT_STATES, RolloutCounts, RolloutSelection, type RolloutState } from './events/rollout-events.js';

/** Why a rollout does nothing at this moment. */
export const ROLLOUT_WAITS = [
  'image-not-staged',
  'window-closed',
  'approval-needed',
  'batch-running',
  'host-budget',
  'tenant-budget',
  'host-lost',
  'paused-by-person',
  'paused-by-failures',
  'revert-running',
  'ending',
] as const;
export type RolloutWaitReason = (typeof ROLLOUT_WAITS)[number];

export class RolloutWait {
  @IsIn(ROLLOUT_WAITS)
  readonly reason!: RolloutWaitReason;

  @IsText(4000)
  readonly message!: string;
}

/** `status.rollout.<id>`; a row of `rollout ls --json`. */
export class RolloutStatus {
  @Matches(ID_PATTERN)
  readonly id!: string;

  @IsIn(ROLLOUT_STATES)
  readonly state!: RolloutState;

  /** `name@version`, or `known-good`. */
  @IsText(80)
  readonly to!: string;

  @IsDefined()
  @Nested(() => RolloutSelection)
  readonly select!: RolloutSelection;

  @IsDefined()
  @Nested(() => RolloutCounts)
  readonly counts!: RolloutCounts;

  /** The batch in progress, or the last one; 0 is the canary. -1: none so far. */
  @IsCount(-1)
  readonly batch!: number;

  /** How many batches there will be, the canary counted. */
  @IsCount()
  readonly batches!: number;

  @IsNullable()
  @Nested(() => RolloutWait)
  readonly wait!: RolloutWait | null;

  @IsISO8601()
  readonly requestedAt!: string;

  @IsISO8601()
  readonly changedAt!: string;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;
}
