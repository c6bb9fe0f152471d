import { describe, expect, it } from '@jest/globals';
import { type CgroupReading, heldLimits, missingIn, unheldLimits } from './held-limits.js';

const ALL = ['cpuset', 'cpu', 'io', 'memory', 'pids'];
const VERSION_2: CgroupReading = { version: 2, controllers: ALL, passedOn: [], isBusy: false };

describe('limits that a machine can not hold', () => {
  const cases: readonly (readonly [string, Partial<CgroupReading>, readonly string[]])[] = [
    ['none, with version 2 alone', {}, []],
    ['none, with version 1', { version: 1, controllers: ['memory', 'cpu', 'pids'] }, []],
    ['one whose controller is not mounted', { version: 1, controllers: ['cpu', 'pids'] }, ['memory']],
    ['those whose controllers are on the other version', { controllers: ['hugetlb'] }, ['memory', 'cpus', 'pids']],
    ['all, where the root of a namespace has processes', { isBusy: true }, ['memory', 'cpus', 'pids']],
    ['one that such a root does not pass on', { isBusy: true, passedOn: ['memory', 'pids'] }, ['cpus']],
    ['none, where the root of a namespace passes them on', { passedOn: ALL }, []],
  ];

  it.each(cases)('%s', (_what, change, expected) => {
    const missing = missingIn({ ...VERSION_2, ...change });
    expect(missing.map(({ limit }) => limit)).toEqual(expected);
    for (const { message } of missing) expect(message).toMatch(/^(?:memory|cpu|pids): /);
  });
});

describe('limits of a container', () => {
  const missing = [{ limit: 'cpus', message: 'cpu: why' }] as const;
  const limits = { memoryBytes: 5, cpus: 1, openFiles: 7 };

  it('are left out where they can not be held, and named', () => {
    expect(heldLimits(limits, missing)).toEqual({ memoryBytes: 5, cpus: undefined, openFiles: 7 });
    expect(unheldLimits(limits, missing)).toEqual(missing);
    expect(heldLimits(limits, [])).toEqual(limits);
  });

  it('are not missed where none is asked for', () => {
    expect(unheldLimits({ memoryBytes: 5 }, missing)).toEqual([]);
  });
});
