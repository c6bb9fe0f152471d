/** What a refusal reports as wrong with the request. */
import { IsString, MaxLength } from 'class-validator';

/** One thing wrong with the request. */
export class Problem {
  /** Where: a path such as `packages.add[2]`; empty for the whole. */
  @IsString()
  @MaxLength(300)
  path!: string;

  @IsString()
  @MaxLength(2000)
  message!: string;
}
