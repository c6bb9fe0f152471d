/** The short version of `npm run fuzz`: a fixed seed. */
import { afterAll, expect, it } from '@jest/globals';
import { runFuzz } from './fuzz/harness.js';
import { Stack } from './stack.js';

const stack = new Stack();
afterAll(() => stack.down());

it('answers every malformed request, serves every good one, and stays alive', async () => {
  await stack.up();
  const result = await runFuzz({ stack, seed: 7, messages: 1_500, onLine: () => undefined });
  expect(result.violations).toEqual([]);
  expect(Object.values(result.answers).reduce((sum, count) => sum + count, 0)).toBe(1_500 + result.good);
});
