import { FactLog } from './fact-log.js';

const isBig = (fact: number): boolean => fact > 5;

describe('FactLog', () => {
  it('gives the first that fits, arrived before or after it is waited for', async () => {
    const log = new FactLog<number>();
    const waiting = log.within(isBig, 60_000);
    for (const fact of [1, 7, 8]) log.add(fact);
    expect(await waiting).toBe(7);
    expect(await log.within(isBig, 60_000)).toBe(7);
    expect(log.all).toEqual([1, 7, 8]);
  });

  it('gives nothing when the time is over', async () => {
    expect(await new FactLog<number>().within(isBig, 1)).toBeUndefined();
  });

  it('returns nothing to callers that wait at its close, and what has arrived to those that ask later', async () => {
    const log = new FactLog<number>();
    log.add(9);
    const waiting = log.within((fact) => fact > 10, 60_000);
    log.close();
    expect(await waiting).toBeUndefined();
    expect(await log.within(isBig, 60_000)).toBe(9);
  });
});
