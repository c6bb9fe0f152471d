/** The short version of `npm run chaos`: a fixed seed, a few faults of many kinds. */
import { afterAll, expect, it } from '@jest/globals';
import { runChaos } from './chaos/harness.js';
import { Stack } from './stack.js';

const stack = new Stack();
afterAll(() => stack.down());

it('loses nothing, doubles nothing and leaves nothing behind', async () => {
  await stack.up();
  const lines: string[] = [];
  const result = await runChaos({ stack, seed: 42, faults: 25, checkEvery: 25, onLine: (line) => lines.push(line) });
  expect({ violations: result.violations, log: result.violations.length > 0 ? lines : [] }).toEqual({ violations: [], log: [] });
  expect(Object.keys(result.injected).length).toBeGreaterThan(6);
}, 600_000);
