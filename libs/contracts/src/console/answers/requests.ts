/** Requests that people made, and the record of them. */
import { IsIn, IsInt, IsISO8601, IsOptional, IsString } from 'class-validator';
import { IsNullable, NestedEach } from '../../nested.js';
import { EventEntry } from './events.js';

export const REQUEST_STATES = ['pending', 'done', 'failed', 'refused'] as const;
export type RequestState = (typeof REQUEST_STATES)[number];

/** Who did what to what, and why it failed or was refused. */
class RecordedAct {
  @IsString()
  readonly actor!: string;

  @IsString()
  readonly act!: string;

  @IsNullable()
  @IsString()
  readonly target!: string | null;

  @IsNullable()
  @IsString()
  readonly tenant!: string | null;

  @IsISO8601()
  readonly at!: string;

  /** Reason code of what failed or was refused. */
  @IsNullable()
  @IsString()
  readonly reason!: string | null;

  @IsNullable()
  @IsString()
  readonly message!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly endedAt!: string | null;
}

/** An act and what became of it. */
export class AuditEntry extends RecordedAct {
  @IsInt()
  readonly sequence!: number;

  /** `session`, `token`, or `bus`: seen there, by the actor that its sender claims. */
  @IsString()
  readonly via!: string;

  @IsNullable()
  @IsString()
  readonly address!: string | null;

  /** Event id; null: nothing was published. */
  @IsNullable()
  @IsString()
  readonly requestId!: string | null;

  /** What the person gave as the reason. */
  @IsNullable()
  @IsString()
  readonly why!: string | null;

  @IsIn(REQUEST_STATES)
  readonly outcome!: RequestState;
}

export class AuditList {
  /** Newest first. */
  @NestedEach(() => AuditEntry)
  readonly items!: readonly AuditEntry[];

  @IsOptional()
  @IsString()
  readonly next?: string;
}

export class RequestAnswer extends RecordedAct {
  /** Event id of the request. */
  @IsString()
  readonly id!: string;

  @IsIn(REQUEST_STATES)
  readonly state!: RequestState;

  /** What it led to, of the last events that the console keeps, oldest first. */
  @NestedEach(() => EventEntry)
  readonly events!: readonly EventEntry[];
}
