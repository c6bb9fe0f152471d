/** Whether a test of a recipe has passed. */
import type { RecipeTest } from './recipe.js';

export type TestOutcome = { readonly kind: 'ended'; readonly exitCode: number; readonly output: string } | { readonly kind: 'timed-out' };

/** @returns what is wrong, or undefined */
export function judgeTest(test: RecipeTest, outcome: TestOutcome): string | undefined {
  if (outcome.kind === 'timed-out') return `no end after ${test.timeoutSeconds} s`;
  if (outcome.exitCode !== test.expectExit) return `exit code ${outcome.exitCode}, expected ${test.expectExit}`;
  if (test.expectOutput === undefined || outcome.output.includes(test.expectOutput)) return undefined;
  return `its output does not hold ${JSON.stringify(test.expectOutput.slice(0, 200))}`;
}
