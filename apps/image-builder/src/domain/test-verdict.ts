/** Whether a test of a recipe has passed. */
import type { RecipeTest } from './recipe.js';

export type TestOutcome =
  | { readonly kind: 'ended'; readonly exitCode: number; readonly output: string }
  | { readonly kind: 'timed-out' }
  /** The container ended before the test or with it. */
  | { readonly kind: 'gone' };

/** @returns what is wrong, or undefined */
export function judgeTest(test: RecipeTest, outcome: TestOutcome): string | undefined {
  if (outcome.kind === 'timed-out') return `no end after ${test.timeoutSeconds} s`;
  if (outcome.kind === 'gone') return 'the first process of the image has ended';
  if (outcome.exitCode !== test.expectExit) return `exit code ${outcome.exitCode}, expected ${test.expectExit}`;
  if (test.expectOutput === undefined || outcome.output.includes(test.expectOutput)) return undefined;
  return `its output does not hold ${JSON.stringify(test.expectOutput.slice(0, 200))}`;
}
