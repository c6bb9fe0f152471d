import { expect, it } from '@jest/globals';
import { windowMinutes } from './rollout.js';

it.each([
  [{}, 60],
  [{ windowMinutes: 90 }, 90],
  [{ windowDuration: 7_200_000 }, 120],
  [{ windowDuration: 1_800_000, windowMinutes: 90 }, 30],
])('how long a window is open: %j', (given, minutes) => expect(windowMinutes(given)).toBe(minutes));

it.each([0, 90_500])('is whole minutes, not %i ms', (windowDuration) =>
  expect(() => windowMinutes({ windowDuration })).toThrow('such as 90m'),
);
