/** Decides whether and when a failed installation is tried again. */
import type { DistributionFailureReason } from '@plinth/contracts';

/** Counts of earlier tries, stored with the wanted image. */
export interface RetryState {
  /** Failed tries. */
  readonly attempts: number;
  /** Failed tries in a row without progress; the pause grows with them. */
  readonly stuck: number;
  /** Failures after which the content was not the promoted one. */
  readonly strikes: number;
}

export type RetryPlan =
  | { readonly retry: true; readonly state: RetryState; readonly delayMs: number }
  | { readonly retry: false; readonly state: RetryState };

export const FRESH: RetryState = { attempts: 0, stuck: 0, strikes: 0 };

const FIRST_DELAY_MS = 250;
/** From this many strikes on the pause grows beyond the usual limit, because each try may be a whole download. */
const QUICK_STRIKES = 3;
/** The longest pause then, as a multiple of the usual limit. */
const SLOWEST = 60;
/** Fewer bytes than this in one try count as no progress. */
const PROGRESS_BYTES = 1024 ** 2;

const PASSING: ReadonlySet<DistributionFailureReason> = new Set([
  'repository-unreachable',
  'download-stalled',
  'no-space',
  'io-error',
]);
/**
 * Failures that a network with corrupted bytes, a proxy, or a key that is missing here may cause: the image itself may
 * be valid.
 */
const WRONG: ReadonlySet<DistributionFailureReason> = new Set([
  'digest-mismatch',
  'wrong-size',
  'bad-signature',
  'unknown-key',
  'repository-refused',
]);

/** Whether a later try may succeed. The causes of other failures are in the signed files, and stay. */
export function mayHeal(reason: DistributionFailureReason): boolean {
  return PASSING.has(reason) || WRONG.has(reason);
}

/** Limit of every pause. @param longestMs limit of the pauses without strikes */
export function longestPauseMs(longestMs: number): number {
  return SLOWEST * longestMs;
}

/**
 * @param downloadedBytes bytes that the failed try received and that are kept
 * @param jitter 0 to 1
 */
export function planRetry(
  reason: DistributionFailureReason,
  before: RetryState,
  downloadedBytes: number,
  longestMs: number,
  jitter: number,
): RetryPlan {
  const state: RetryState = {
    attempts: before.attempts + 1,
    stuck: downloadedBytes >= PROGRESS_BYTES ? 0 : before.stuck + 1,
    strikes: before.strikes + (WRONG.has(reason) ? 1 : 0),
  };
  if (!mayHeal(reason)) return { retry: false, state };
  const pause =
    WRONG.has(reason) && state.strikes >= QUICK_STRIKES
      ? Math.min(longestMs * 2 ** Math.min(state.strikes - QUICK_STRIKES, 30), longestPauseMs(longestMs))
      : Math.min(FIRST_DELAY_MS * 2 ** Math.min(Math.max(state.stuck - 1, 0), 30), longestMs);
  // The jitter only shortens, so the pause is never longer than the limit.
  return { retry: true, state, delayMs: Math.round(pause * (1 - jitter / 4)) };
}
