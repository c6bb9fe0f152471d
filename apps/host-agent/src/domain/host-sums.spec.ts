import { expect, it } from '@jest/globals';
import { GrownCounters } from './grown-counters.js';
import { rankedSizes } from './ranked-sizes.js';

it.each([
  ['nothing', [], { sum: 0, ranks: {} }],
  ['one', [7], { sum: 7, ranks: { median: 7, p99: 7, largest: 7 } }],
  ['three, in any order', [9, 1, 5], { sum: 15, ranks: { median: 5, p99: 9, largest: 9 } }],
  [
    'two hundred',
    Array.from({ length: 200 }, (_, n) => n + 1),
    { sum: 20_100, ranks: { median: 100, p99: 198, largest: 200 } },
  ],
])('ranks sizes: %s', (_name, sizes, expected) => expect(rankedSizes(sizes)).toEqual(expected));

it('adds up counters that begin again, and never goes down', () => {
  const counters = new GrownCounters();
  const read = (values: Record<string, number>): number => counters.read(new Map(Object.entries(values)));
  // What was counted before is not known to be new.
  expect(read({ a: 10 })).toBe(0);
  expect(read({ a: 15, b: 3 })).toBe(8);
  // One was started again, the other has gone.
  expect(read({ a: 4 })).toBe(12);
  expect(read({})).toBe(12);
  expect(read({ b: 2 })).toBe(14);
});
