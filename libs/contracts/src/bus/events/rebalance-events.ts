/** Requests to even out hosts, and the facts that the provisioner publishes. */
import { ArrayMaxSize, IsDefined, IsIn, IsOptional, Matches, Max } from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { Nested, NestedEach } from '../../nested.js';
import { ID_PATTERN, NAME_PATTERN, NAME_WORDS } from '../../values.js';
import { Problem } from '../problem.js';

/** What holds where a request names nothing else. */
export const REBALANCE_DEFAULTS = {
  thresholdPercent: 20,
  cooldownMinutes: 60,
  maxMoves: 20,
  atOnce: 1,
  maxFailures: 3,
} as const;
export const MOST_REBALANCE_MOVES = 1_000;

/** What moves are looked for. */
export class RebalanceOptions {
  /** Absent: each data centre by itself. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  datacenter?: string;

  /** Only containers of this tenant move. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `must be ${NAME_WORDS}` })
  tenant?: string;

  /** Percentage points by which two hosts of a data centre may differ in what is reserved; absent: 20. */
  @IsOptional()
  @IsCount(1)
  @Max(100)
  thresholdPercent?: number;

  /** A container that was moved less long ago stays; absent: 60. */
  @IsOptional()
  @IsCount()
  @Max(43_200)
  cooldownMinutes?: number;

  /** Absent: 20. */
  @IsOptional()
  @IsCount(1)
  @Max(MOST_REBALANCE_MOVES)
  maxMoves?: number;
}

/** `rebalance.requested`: the moves are planned when it is accepted, and carried out one after the other. */
export class RebalanceRequested extends RebalanceOptions {
  /** Containers on their way at the same time, of a group one; absent: 1. */
  @IsOptional()
  @IsCount(1)
  @Max(100)
  atOnce?: number;

  /** Moves that fail in a row before it stops by itself; absent: 3. */
  @IsOptional()
  @IsCount(1)
  @Max(MOST_REBALANCE_MOVES)
  maxFailures?: number;
}

/** `rebalance.cancel.requested`: no further move is begun; those in progress end by themselves. */
export class RebalanceCancelRequested {
  @Matches(ID_PATTERN, { message: 'rebalanceId must be 32 hex digits' })
  rebalanceId!: string;
}

export const REBALANCE_STATES = ['running', 'cancelling', 'completed', 'cancelled', 'stopped'] as const;
/** `stopped`: by itself, after too many failures in a row. */
export type RebalanceState = (typeof REBALANCE_STATES)[number];

/** They add up to `total`. */
export class RebalanceCounts {
  @IsCount()
  total!: number;

  @IsCount()
  pending!: number;

  @IsCount()
  moving!: number;

  @IsCount()
  moved!: number;

  @IsCount()
  failed!: number;

  /** No longer wanted or possible when their turn came. */
  @IsCount()
  skipped!: number;
}

class RebalanceFact {
  @Matches(ID_PATTERN)
  rebalanceId!: string;

  @IsIn(REBALANCE_STATES)
  state!: RebalanceState;

  @IsDefined()
  @Nested(() => RebalanceCounts)
  counts!: RebalanceCounts;

  /** Why it changed, for people. */
  @IsText(4000)
  message!: string;
}

/** A rebalance was accepted: its moves are planned. */
export class RebalanceStarted extends RebalanceFact {
  /** Event id of the request. */
  @IsText(200)
  requestId!: string;
}

/** It begins no further move. */
export class RebalanceCancelled extends RebalanceFact {}

/** Nothing of it is in progress any more; the state says how it ended. */
export class RebalanceFinished extends RebalanceFact {}

export const REBALANCE_OPERATIONS = ['start', 'cancel'] as const;
export type RebalanceOperation = (typeof REBALANCE_OPERATIONS)[number];

export const REBALANCE_REJECTION_REASONS = [
  'invalid-request',
  'datacenter-not-found',
  'nothing-to-move',
  'rebalance-running',
  'rebalance-not-found',
  'wrong-state',
  'internal-error',
] as const;
export type RebalanceRejectionReason = (typeof REBALANCE_REJECTION_REASONS)[number];

/** A request about a rebalance was refused; nothing was changed. */
export class RebalanceRejected {
  @IsIn(REBALANCE_OPERATIONS)
  operation!: RebalanceOperation;

  @IsText(200)
  requestId!: string;

  @IsIn(REBALANCE_REJECTION_REASONS)
  reason!: RebalanceRejectionReason;

  @IsText(4000)
  message!: string;

  @IsOptional()
  @Matches(ID_PATTERN)
  rebalanceId?: string;

  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  problems!: Problem[];
}
