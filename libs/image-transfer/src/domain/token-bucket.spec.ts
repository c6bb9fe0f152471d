import fc from 'fast-check';
import { takeBytes, transfersWithin } from './token-bucket.js';

const RATE = { bytesPerSecond: 1_000, burstBytes: 500 };

it.each([
  ['the first bytes of a burst are paid at once', -Infinity, 500, 10_000, 10_000],
  ['more than a burst is not', -Infinity, 1_500, 10_000, 11_000],
  ['bytes after others wait for them', 10_400, 100, 10_000, 10_500],
  ['what was not taken in a long pause is lost', 0, 500, 10_000, 10_000],
  ['a short pause gives as much as it lasted', 10_000, 200, 10_200, 10_200],
] as const)('%s', (_, paidAtMs, bytes, nowMs, expected) =>
  expect(takeBytes(paidAtMs, bytes, nowMs, RATE)).toBe(expected),
);

it('lets through no more than the rate and one burst, whatever is taken when', () => {
  const takes = fc.array(fc.record({ bytes: fc.nat(5_000), pauseMs: fc.nat(3_000) }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(takes, (all) => {
      let [nowMs, paidAtMs, sum] = [0, -Infinity, 0];
      for (const { bytes, pauseMs } of all) {
        nowMs += pauseMs;
        paidAtMs = takeBytes(paidAtMs, bytes, nowMs, RATE);
        // One who takes waits until it is paid.
        nowMs = Math.max(nowMs, paidAtMs);
        sum += bytes;
        expect(sum).toBeLessThanOrEqual(RATE.burstBytes + (RATE.bytesPerSecond * nowMs) / 1_000 + 1e-6);
      }
    }),
  );
});

it.each([
  [8, undefined, 8],
  [8, 1024 ** 2, 8],
  [8, 200_000, 3],
  [8, 1_000, 1],
])('of %s transfers within %s bytes a second there are %s at once', (most, rate, expected) =>
  expect(transfersWithin(most, rate)).toBe(expected),
);
