/** The numbers of the overview. */
import { IsArray, IsInt, IsObject, IsOptional, IsString } from 'class-validator';
import { IsNullable, NestedEach } from '../../nested.js';
import { OfATime } from './answer-time.js';

export class OverviewReason {
  @IsString()
  readonly message!: string;

  @IsInt()
  readonly containers!: number;
}

export class OverviewAnswer extends OfATime {
  /** By state. */
  @IsObject()
  readonly containers!: Readonly<Record<string, number>>;

  @IsInt()
  readonly unhealthy!: number;

  /** Why containers failed or are lost, most frequent first. */
  @NestedEach(() => OverviewReason)
  readonly reasons!: readonly OverviewReason[];

  /** By state; absent for developers, as the next three. */
  @IsOptional()
  @IsObject()
  readonly hosts?: Readonly<Record<string, number>>;

  @IsOptional()
  @IsObject()
  readonly storage?: Readonly<Record<string, number>>;

  /** Ids of rollouts that go on only when a person approves. */
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  readonly waitingRollouts?: readonly string[];

  /** null: not known. */
  @IsOptional()
  @IsNullable()
  @IsInt()
  readonly deadLetters?: number | null;
}
