/**
 * When a health check is run: checks are spread over the interval, and run less often on a host that can't keep up.
 * Pure.
 */

/** A younger run was started by this agent; an older one was found by a new agent. */
const FRESH_RUN_MS = 2_000;
/** The first check of a run is no later than this, however long the interval. */
const FIRST_CHECK_MS = 1_000;
/** Between two checks in the start period: a container that is up early is reported early. */
const START_PERIOD_INTERVAL_MS = 5_000;

/**
 * Where in an interval a container's checks lie, 0 to 1: constant, and evenly distributed over many containers.
 * @param id hex digits
 */
export function placeInInterval(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) / 2 ** 32;
}

/**
 * From now to the first check, milliseconds. A new agent may find a thousand containers: their first checks are spread
 * over the whole interval.
 * @param runAgeMs how long the container has been running
 */
export function firstDelayMs(place: number, intervalMs: number, runAgeMs: number, urgent: boolean): number {
  if (urgent) return 0;
  return place * (runAgeMs < FRESH_RUN_MS ? Math.min(intervalMs, FIRST_CHECK_MS) : intervalMs);
}

/** From the end of a check to the next, milliseconds. @param stretch see {@link nextStretch} */
export function nextDelayMs(intervalMs: number, stretch: number, inStartPeriod: boolean, urgent: boolean): number {
  if (urgent) return intervalMs;
  return (inStartPeriod ? Math.min(intervalMs, START_PERIOD_INTERVAL_MS) : intervalMs) * stretch;
}

/** Share of the time in which the places may be taken before checks become less frequent. */
const MOST_BUSY = 0.5;
/**
 * Below this share they become more frequent again; lower than {@link MOST_BUSY}, so that the intervals do not
 * oscillate.
 */
const LEAST_BUSY = 0.35;
const LONGEST_STRETCH = 100;

/**
 * The factor of the intervals from now on.
 * @param busy share of the time since the last measurement in which the places were taken, 0 to 1
 */
export function nextStretch(stretch: number, busy: number): number {
  if (busy > MOST_BUSY) return Math.min(LONGEST_STRETCH, stretch * Math.min(2, busy / MOST_BUSY + 0.1));
  if (busy < LEAST_BUSY) return Math.max(1, stretch * 0.8);
  return stretch;
}
