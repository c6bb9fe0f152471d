/** Is a failed installation tried again, and when? */
import type { DistributionFailureReason } from '@plinth/contracts';

/** What earlier tries left, kept with the wanted image. */
export interface RetryState {
  /** Tries that failed. */
  readonly attempts: number;
  /** Of these, in a row and without progress: what the pause grows with. */
  readonly stuck: number;
  /** Answers that were not what was promoted. */
  readonly strikes: number;
}

export type RetryPlan =
  | { readonly retry: true; readonly state: RetryState; readonly delayMs: number }
  | { readonly retry: false; readonly state: RetryState };

export const FRESH: RetryState = { attempts: 0, stuck: 0, strikes: 0 };

const FIRST_DELAY_MS = 250;
/** Then an hour may lie between two tries: each may be a whole download. */
const QUICK_STRIKES = 3;
/** Of the longest pause otherwise. */
const SLOWEST = 60;
/** Fewer bytes than this in one try count as no progress. */
const PROGRESS_BYTES = 1024 ** 2;

const PASSING: ReadonlySet<DistributionFailureReason> = new Set([
  'repository-unreachable',
  'download-stalled',
  'no-space',
  'io-error',
]);
/** What a network that breaks bytes, a proxy, or a key that is missing here can be to blame for: the image itself may be well. */
const WRONG: ReadonlySet<DistributionFailureReason> = new Set([
  'digest-mismatch',
  'wrong-size',
  'bad-signature',
  'unknown-key',
  'repository-refused',
]);

/** Whether the same try may end better later. The others are in what was signed, and stay. */
export function mayHeal(reason: DistributionFailureReason): boolean {
  return PASSING.has(reason) || WRONG.has(reason);
}

/** No pause is longer. @param longestMs while nothing came that was wrong */
export function longestPauseMs(longestMs: number): number {
  return SLOWEST * longestMs;
}

/**
 * @param downloadedBytes that the failed try brought and that are kept
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
  // Never longer than the limit: the jitter only shortens.
  return { retry: true, state, delayMs: Math.round(pause * (1 - jitter / 4)) };
}
