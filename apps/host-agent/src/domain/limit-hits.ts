/**
 * How often a container reached its limits, from counters of the kernel that begin again with each run; and when that is
 * reported: at most once a minute for each limit, so that a container that does nothing else floods nobody. Pure.
 */
import { type EffectiveLimits, REACHABLE_LIMITS, type ReachableLimit } from '@plinth/contracts';

/** A second report of the same limit waits so long, and counts what has happened meanwhile. */
export const REPORT_EVERY_MS = 60_000;

/** What was read of one container. */
export interface LimitReading {
  /** Number of the run; see LocalRecord.starts. */
  readonly run: number;
  /** Since that run began. */
  readonly memoryKills: number;
  readonly refusedForks: number;
  /** Absent: the data volume is not held to a limit here. */
  readonly disk?: { readonly usedBytes: number; readonly limitBytes: number };
}

export interface LimitTally {
  /** The kernel's counter as it was counted last, and its run. */
  readonly run: number;
  readonly counter: number;
  /** Times that were not reported; 0: none. */
  readonly open: number;
  /** The first and the last of them, milliseconds since the epoch. */
  readonly sinceMs?: number;
  readonly lastMs?: number;
  readonly reportedAtMs?: number;
}

/** By limit; absent: it was never reached. */
export type LimitTallies = Partial<Record<ReachableLimit, LimitTally>>;

export interface DueLimit {
  readonly limit: ReachableLimit;
  readonly value: number;
  readonly count: number;
  readonly sinceMs: number;
  readonly lastMs: number;
}

const NEVER: LimitTally = { run: 0, counter: 0, open: 0 };

/** @returns the same object when nothing was reached */
export function afterReading(tallies: LimitTallies, reading: LimitReading, nowMs: number): LimitTallies {
  let next = tallies;
  for (const limit of REACHABLE_LIMITS) {
    const before = tallies[limit] ?? NEVER;
    const counter = counterOf(limit, reading, before);
    const isSameRun = before.run === reading.run;
    const times = limit === 'disk' || isSameRun ? Math.max(0, counter - before.counter) : counter;
    if (times === 0 && counter === before.counter) continue;
    if (times === 0 && tallies[limit] === undefined) continue;
    next = {
      ...next,
      [limit]: {
        ...before,
        run: reading.run,
        counter,
        open: before.open + times,
        ...(times > 0 && { sinceMs: before.open > 0 ? before.sinceMs : nowMs, lastMs: nowMs }),
      },
    };
  }
  return next;
}

/** A volume counts as full, 1, until a good part of it is free again, 0: no file system counts refused writes. */
function counterOf(limit: ReachableLimit, reading: LimitReading, before: LimitTally): number {
  switch (limit) {
    case 'memory':
      return reading.memoryKills;
    case 'pids':
      return reading.refusedForks;
    case 'disk': {
      if (reading.disk === undefined) return before.counter;
      const { usedBytes, limitBytes } = reading.disk;
      const margin = Math.max(limitBytes / 64, 128 * 1024);
      const free = limitBytes - usedBytes;
      return free < margin ? 1 : free > 4 * margin ? 0 : before.counter;
    }
  }
}

/** What is to be reported now. @param limits those of the present config */
export function dueLimits(tallies: LimitTallies, limits: EffectiveLimits, nowMs: number): readonly DueLimit[] {
  const values: Readonly<Record<ReachableLimit, number>> = {
    memory: limits.memoryBytes,
    pids: limits.pids,
    disk: limits.diskBytes ?? 0,
  };
  return REACHABLE_LIMITS.flatMap((limit) => {
    const { open = 0, reportedAtMs, sinceMs = nowMs, lastMs = nowMs } = tallies[limit] ?? NEVER;
    if (open === 0) return [];
    // A clock that went back does not hold a report up.
    const waits = reportedAtMs !== undefined && nowMs >= reportedAtMs && nowMs < reportedAtMs + REPORT_EVERY_MS;
    return waits ? [] : [{ limit, value: values[limit], count: open, sinceMs, lastMs }];
  });
}

export function afterLimitReport(tallies: LimitTallies, limit: ReachableLimit, nowMs: number): LimitTallies {
  const { run, counter } = tallies[limit] ?? NEVER;
  return { ...tallies, [limit]: { run, counter, open: 0, reportedAtMs: nowMs } };
}
