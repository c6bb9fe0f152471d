import { describe, expect, it } from '@jest/globals';
import { afterLimitReport, afterReading, dueLimits, type LimitReading, type LimitTallies } from './limit-hits.js';

const MIB = 1024 ** 2;
const LIMITS = { memoryBytes: 64 * MIB, cpus: 1, pids: 100, diskBytes: 100 * MIB };
const read = (more: Partial<LimitReading>): LimitReading => ({ run: 1, memoryKills: 0, refusedForks: 0, ...more });
const disk = (usedBytes: number): LimitReading => read({ disk: { usedBytes, limitBytes: 100 * MIB } });

/** Readings a second apart, each followed by the reports that are due: `<second> <limit> <count>`. */
function reportsOf(readings: readonly LimitReading[], seconds = 1, begin: LimitTallies = {}): string[] {
  let tallies = begin;
  const lines: string[] = [];
  readings.forEach((reading, at) => {
    const nowMs = at * seconds * 1_000;
    tallies = afterReading(tallies, reading, nowMs);
    for (const { limit, count } of dueLimits(tallies, LIMITS, nowMs)) {
      lines.push(`${at * seconds} ${limit} ${count}`);
      tallies = afterLimitReport(tallies, limit, nowMs);
    }
  });
  return lines;
}

const kills = (counts: readonly number[], run = 1): LimitReading[] =>
  counts.map((memoryKills) => read({ run, memoryKills }));

describe('limits that were reached', () => {
  it('are none when nothing happened, and nothing is changed', () => {
    const before: LimitTallies = {};
    expect(afterReading(before, read({}), 0)).toBe(before);
    expect(reportsOf(kills([0, 0, 0]))).toEqual([]);
    const after = afterReading(before, read({ memoryKills: 1 }), 0);
    expect(afterReading(after, read({ memoryKills: 1 }), 1)).toBe(after);
  });

  it('are reported at once, then once a minute with their number', () => {
    const everySecond = Array.from({ length: 150 }, (_, at) => at + 1);
    expect(reportsOf(kills(everySecond))).toEqual(['0 memory 1', '60 memory 60', '120 memory 60']);
  });

  it('are counted for each limit apart', () => {
    expect(
      reportsOf([read({ memoryKills: 2, refusedForks: 900 }), read({ memoryKills: 2, refusedForks: 901 })]),
    ).toEqual(['0 memory 2', '0 pids 900']);
  });

  it('are counted over restarts, also when the same number is reached again', () => {
    const runs = [1, 2, 3, 4, 5].flatMap((run) => kills([1], run));
    expect(reportsOf(runs, 20)).toEqual(['0 memory 1', '60 memory 3']);
    expect(reportsOf([...kills([3]), ...kills([0], 2), ...kills([3], 2)], 60)).toEqual(['0 memory 3', '120 memory 3']);
  });

  it('are not counted twice by the next agent', () => {
    const tallies = afterLimitReport(afterReading({}, read({ memoryKills: 4 }), 0), 'memory', 0);
    const kept = JSON.parse(JSON.stringify(tallies)) as LimitTallies;
    expect(reportsOf(kills([4, 4, 5]), 60, kept)).toEqual(['120 memory 1']);
  });

  it('are a disk when it becomes full, and again after a part of it was free', () => {
    const fills = [50, 99.9, 99.9, 97, 99.9, 80, 99.9].map((used) => disk(used * MIB));
    expect(reportsOf(fills, 60)).toEqual(['60 disk 1', '360 disk 1']);
    expect(reportsOf([disk(99.9 * MIB), read({}), disk(99.9 * MIB), { ...disk(99.9 * MIB), run: 2 }], 60)).toEqual([
      '0 disk 1',
    ]);
  });

  it('have the value of the limit, and the times of the first and the last', () => {
    let tallies = afterReading({}, read({ refusedForks: 3 }), 1_000);
    tallies = afterReading(tallies, read({ refusedForks: 7 }), 9_000);
    expect(dueLimits(tallies, LIMITS, 10_000)).toEqual([
      { limit: 'pids', value: 100, count: 7, sinceMs: 1_000, lastMs: 9_000 },
    ]);
  });

  it('are reported although the clock went back', () => {
    const tallies = afterLimitReport(afterReading({}, read({ memoryKills: 1 }), 90_000), 'memory', 90_000);
    expect(dueLimits(afterReading(tallies, read({ memoryKills: 2 }), 0), LIMITS, 0)).toHaveLength(1);
  });
});
