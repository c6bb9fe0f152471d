/** The short version of `npm run chaos`: a fixed seed, a few faults of many kinds. */
import { afterAll, expect, it } from '@jest/globals';
import { runChaos } from './chaos/harness.js';
import { Rig } from './chaos/rig.js';

let rig: Rig | undefined;
afterAll(() => rig?.close(), 120_000);

it('loses nothing, doubles nothing and leaves nothing behind', async () => {
  rig = await Rig.open();
  const lines: string[] = [];
  const result = await runChaos({ rig, seed: 42, faults: 25, checkEvery: 25, onLine: (line) => lines.push(line) });
  expect({ violations: result.violations, log: result.violations.length > 0 ? lines : [] }).toEqual({
    violations: [],
    log: [],
  });
  expect(Object.keys(result.injected).length).toBeGreaterThan(6);
});
