/** Of which time an answer is. */
import { IsBoolean, IsISO8601, IsString } from 'class-validator';
import { IsNullable } from '../../nested.js';

export class OfATime {
  /** Now, or when the bus was lost. */
  @IsISO8601()
  readonly at!: string;

  /** false: the data are old, and `problem` is why. */
  @IsBoolean()
  readonly live!: boolean;

  @IsNullable()
  @IsString()
  readonly problem!: string | null;
}
