/** What a refusal reports as wrong with the request. */
import { IsText } from '../rules.js';

/** One thing wrong with the request. */
export class Problem {
  /** Where: a path such as `packages.add[2]`; empty for the whole. */
  @IsText(300)
  path!: string;

  @IsText(2000)
  message!: string;
}
