/** Problem details (RFC 9457). */
import { IsInt, IsString } from 'class-validator';

export class Problem {
  @IsString()
  readonly type!: string;

  @IsInt()
  readonly status!: number;

  @IsString()
  readonly title!: string;

  @IsString()
  readonly detail!: string;

  /** The system's reason code. */
  @IsString()
  readonly reason!: string;
}
