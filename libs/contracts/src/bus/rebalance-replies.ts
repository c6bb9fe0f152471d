/** Moves that would even out hosts, and how far they are carried out. */
import { ArrayMaxSize, IsBoolean, IsDefined, IsIn, IsISO8601, IsNumber, Matches } from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { ID_PATTERN, NAME_PATTERN } from '../values.js';
import {
  MOST_REBALANCE_MOVES,
  REBALANCE_STATES,
  RebalanceCounts,
  RebalanceRequested,
  type RebalanceState,
} from './events/rebalance-events.js';

/** What is reserved on the hosts of one data centre: shares of 0 to 1 of the scarcest resource of each. */
export class DatacenterBalance {
  @Matches(NAME_PATTERN)
  readonly datacenter!: string;

  @IsCount(1)
  readonly hosts!: number;

  @IsNumber()
  readonly mean!: number;

  @IsNumber()
  readonly most!: number;

  @Matches(NAME_PATTERN)
  readonly mostOn!: string;

  @IsNumber()
  readonly least!: number;

  @Matches(NAME_PATTERN)
  readonly leastOn!: string;
}

/** How the hosts are filled, and how many containers are where what they require does not hold. */
export class FleetBalance {
  @ArrayMaxSize(500)
  @NestedEach(() => DatacenterBalance)
  readonly datacenters!: readonly DatacenterBalance[];

  @IsCount()
  readonly rulesNotMet!: number;
}

/** `balance`: to even out the hosts; `preferred`: a rule that is not required; else a required rule by its filter. */
export const REBALANCE_MOVE_REASONS = ['labels', 'near', 'apart', 'spread', 'preferred', 'balance'] as const;
export type RebalanceMoveReason = (typeof REBALANCE_MOVE_REASONS)[number];

/** Why a container is not moved by a rebalance, whatever it would gain: it is ... */
export const STAY_REASONS = {
  moving: 'moving already',
  unsettled: 'neither running nor stopped for good',
  unhealthy: 'not healthy',
  job: 'not always started again (--restart), so that work would be lost',
  update: 'being updated',
  rollout: 'in a rollout',
  'moved-recently': 'in the cooldown after a move (--cooldown)',
  'image-withdrawn': 'on an image that nothing can be started on',
} as const;
export type StayReason = keyof typeof STAY_REASONS;

class OfContainer {
  @Matches(ID_PATTERN)
  readonly containerId!: string;

  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(NAME_PATTERN)
  readonly tenant!: string;
}

export class ProposedMove extends OfContainer {
  @Matches(NAME_PATTERN)
  readonly from!: string;

  @Matches(NAME_PATTERN)
  readonly to!: string;

  /** Its limit. */
  @IsNumber()
  readonly memoryBytes!: number;

  /** It runs, so it is stopped and started again. */
  @IsBoolean()
  readonly isRunning!: boolean;

  @IsIn(REBALANCE_MOVE_REASONS)
  readonly reason!: RebalanceMoveReason;

  /** In words. */
  @IsText(1000)
  readonly why!: string;
}

/** A container that is where a required rule does not hold, and that no move helps. */
export class UnmetRule extends OfContainer {
  @Matches(NAME_PATTERN)
  readonly host!: string;

  @IsIn(REBALANCE_MOVE_REASONS)
  readonly rule!: RebalanceMoveReason;

  @IsText(4000)
  readonly why!: string;
}

export class StayCount {
  @IsText(32)
  readonly reason!: string;

  @IsCount(1)
  readonly count!: number;
}

/** What a rebalance would do now. Nothing was reserved or written. */
export class RebalancePlan {
  @IsDefined()
  @Nested(() => FleetBalance)
  readonly before!: FleetBalance;

  @IsDefined()
  @Nested(() => FleetBalance)
  readonly after!: FleetBalance;

  @IsNumber()
  readonly thresholdPercent!: number;

  /** In their order. */
  @ArrayMaxSize(MOST_REBALANCE_MOVES)
  @NestedEach(() => ProposedMove)
  readonly moves!: readonly ProposedMove[];

  /** More moves would follow than were allowed. */
  @IsBoolean()
  readonly isCut!: boolean;

  /** The first of them. */
  @ArrayMaxSize(20)
  @NestedEach(() => UnmetRule)
  readonly unmet!: readonly UnmetRule[];

  /** Of the containers that were looked at, those that do not move. */
  @ArrayMaxSize(32)
  @NestedEach(() => StayCount)
  readonly stays!: readonly StayCount[];
}

export const REBALANCE_MOVE_PHASES = ['pending', 'moving', 'moved', 'failed', 'skipped'] as const;
export type RebalanceMovePhase = (typeof REBALANCE_MOVE_PHASES)[number];

export class RebalanceMove extends ProposedMove {
  @IsIn(REBALANCE_MOVE_PHASES)
  readonly phase!: RebalanceMovePhase;

  /** What it waits for, or why it failed or was skipped. */
  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly begunAt!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;
}

/** A rebalance with its moves. */
export class RebalanceDetails {
  @Matches(ID_PATTERN)
  readonly id!: string;

  @IsIn(REBALANCE_STATES)
  readonly state!: RebalanceState;

  @IsDefined()
  @Nested(() => RebalanceRequested)
  readonly request!: RebalanceRequested;

  @IsDefined()
  @Nested(() => RebalanceCounts)
  readonly counts!: RebalanceCounts;

  /** When it was planned. */
  @IsDefined()
  @Nested(() => FleetBalance)
  readonly before!: FleetBalance;

  /** As planned. */
  @IsDefined()
  @Nested(() => FleetBalance)
  readonly after!: FleetBalance;

  /** How it ended. */
  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsISO8601()
  readonly requestedAt!: string;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;

  @ArrayMaxSize(MOST_REBALANCE_MOVES)
  @NestedEach(() => RebalanceMove)
  readonly moves!: readonly RebalanceMove[];
}
