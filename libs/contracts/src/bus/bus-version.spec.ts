import { expect, it } from '@jest/globals';
import { runsReplicas } from './bus-version.js';

it.each([
  ['2.9.10', false],
  ['2.10.22', false],
  ['2.10.23', true],
  ['2.10.27', true],
  ['2.12.1-RC.2', true],
  ['3.0.0', true],
  ['0', false],
  ['nonsense', false],
])('%s: %s', (version, runs) => {
  expect(runsReplicas(version)).toBe(runs);
});
