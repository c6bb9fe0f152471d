import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { firstDelayMs, nextDelayMs, nextStretch, placeInInterval } from './check-schedule.js';

const ids = Array.from({ length: 1_000 }, (_, index) => createHash('md5').update(String(index)).digest('hex'));

describe('the first check', () => {
  it('of a thousand containers that a new agent finds is spread over the interval', () => {
    const seconds = Array.from({ length: 10 }, () => 0);
    for (const id of ids) {
      const second = Math.floor(firstDelayMs(placeInInterval(id), 10_000, 3_600_000, false) / 1_000);
      seconds[second] = (seconds[second] ?? 0) + 1;
    }
    expect(seconds).toHaveLength(10);
    for (const count of seconds) expect(count).toBeGreaterThan(60);
  });
  it.each([
    ['of a fresh run comes soon', 30_000, 0, false, 500],
    ['but not later than its interval', 200, 0, false, 100],
    ['of an older run has its place in the interval', 30_000, 60_000, false, 15_000],
    ['on trial comes at once', 30_000, 0, true, 0],
  ])('%s', (_what, intervalMs, ageMs, urgent, expected) =>
    expect(firstDelayMs(placeInInterval(`80000000${'0'.repeat(24)}`), intervalMs, ageMs, urgent)).toBe(expected),
  );
});

it.each([
  ['after the interval', 10_000, 1, false, false, 10_000],
  ['later on a busy host', 10_000, 3, false, false, 30_000],
  ['not on trial', 10_000, 3, false, true, 10_000],
  ['more often in the start period', 30_000, 1, true, false, 5_000],
  ['not more often than the interval', 200, 1, true, false, 200],
])('the next check comes %s', (_what, intervalMs, stretch, starting, urgent, expected) =>
  expect(nextDelayMs(intervalMs, stretch, starting, urgent)).toBe(expected),
);

describe('on a host that can not keep up', () => {
  /** Share of the time that checks of this cost take of the places, when all have them. */
  const busy = (containers: number, costMs: number, intervalMs: number, stretch: number): number =>
    Math.min(1, (containers * costMs) / (costMs + intervalMs * stretch) / 2);

  it.each([
    [10, 15, 10_000],
    [200, 15, 1_000],
    [1_000, 50, 1_000],
    [4_000, 100, 200],
  ])('%i containers of %i ms every %i ms settle at half of its places', (containers, costMs, intervalMs) => {
    let stretch = 1;
    for (let look = 0; look < 60; look++) stretch = nextStretch(stretch, busy(containers, costMs, intervalMs, stretch));
    expect(busy(containers, costMs, intervalMs, stretch)).toBeLessThanOrEqual(stretch === 100 ? 1 : 0.5);
    for (let look = 0; look < 60; look++) stretch = nextStretch(stretch, 0);
    expect(stretch).toBe(1);
  });
  it('the intervals do not oscillate', () => expect(nextStretch(3, 0.4)).toBe(3));
});
