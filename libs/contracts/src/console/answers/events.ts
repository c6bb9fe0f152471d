/** Requests and facts that the console keeps, and dead letters. */
import { IsInt, IsISO8601, IsObject, IsOptional, IsString } from 'class-validator';
import { IsNullable, NestedEach } from '../../nested.js';

/** One message of the bus's stream of requests and facts. */
export class EventEntry {
  /** Its place in the stream. */
  @IsInt()
  readonly sequence!: number;

  @IsString()
  readonly subject!: string;

  @IsString()
  readonly id!: string;

  @IsISO8601()
  readonly time!: string;

  /** Id of the request that began it all. */
  @IsString()
  readonly correlationId!: string;

  /** Id of the event that caused it. */
  @IsNullable()
  @IsString()
  readonly causationId!: string | null;

  /** Who asked, as the sender claims; of requests. */
  @IsNullable()
  @IsString()
  readonly actor!: string | null;

  @IsString()
  readonly source!: string;

  /** As it came, without values of environments; what is long is left out. */
  @IsObject()
  readonly data!: Readonly<Record<string, unknown>>;
}

/** Of the last events that the console keeps, newest first. */
export class EventList {
  @NestedEach(() => EventEntry)
  readonly items!: readonly EventEntry[];

  @IsOptional()
  @IsString()
  readonly next?: string;

  /** Nothing older is kept. */
  @IsInt()
  readonly oldest!: number;
}

export class DeadLetterEntry {
  @IsInt()
  readonly sequence!: number;

  @IsString()
  readonly service!: string;

  @IsISO8601()
  readonly storedAt!: string;

  @IsString()
  readonly subject!: string;

  @IsString()
  readonly eventId!: string;

  @IsString()
  readonly reason!: string;

  @IsInt()
  readonly attempts!: number;

  /** Why it can't be sent again; null: it can. */
  @IsNullable()
  @IsString()
  readonly notReplayable!: string | null;
}

export class DeadLetterList {
  @NestedEach(() => DeadLetterEntry)
  readonly items!: readonly DeadLetterEntry[];
}
