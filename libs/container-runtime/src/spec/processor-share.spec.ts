import { describe, expect, it } from '@jest/globals';
import { cpuShares, cpuWeight, sharesOfProcessor } from './processor-share.js';

describe('what a container counts', () => {
  it.each([
    [1, 1_024, 100],
    [0.25, 256, 25],
    [0.001, 2, 1],
    [500, 262_144, 10_000],
  ])('with %d processors: as its limit, within what the kernel takes', (cpus, shares, weight) => {
    expect([cpuShares(cpus), cpuWeight(cpus)]).toEqual([shares, weight]);
  });

  it.each([
    ['none named', 2, undefined, 1_024],
    ['fewer than there are', 8, 6, 1_024],
    ['as many as there are', 2, 2, 1_024],
    ['ten times as many', 2, 20, 102.4],
  ])('where containers are promised processors, %s', (_case, processors, promised, ofOne) => {
    expect(sharesOfProcessor(processors, promised)).toBeCloseTo(ofOne);
  });

  it('is, for all that a host takes, as much as one service on each processor', () => {
    const ofOne = sharesOfProcessor(4, 40);
    expect(80 * cpuShares(0.5, ofOne)).toBeLessThanOrEqual(4 * 1_024);
    expect(80 * cpuWeight(0.5, ofOne)).toBeLessThanOrEqual(4 * 100);
  });
});
