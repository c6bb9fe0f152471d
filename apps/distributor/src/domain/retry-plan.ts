/** Is a failed installation tried again, and when? */
import type { DistributionFailureReason } from '@plinth/contracts';

/** What earlier tries left, kept with the wanted image. */
export interface RetryState {
  /** Tries that failed. */
  readonly attempts: number;
  /** Of these, in a row and without progress: what the pause grows with. */
  readonly stuck: number;
  /** Complete downloads whose bytes were not the promoted ones. */
  readonly strikes: number;
}

export type RetryPlan =
  | { readonly retry: true; readonly state: RetryState; readonly delayMs: number }
  | { readonly retry: false; readonly state: RetryState };

export const FRESH: RetryState = { attempts: 0, stuck: 0, strikes: 0 };

const FIRST_DELAY_MS = 250;
const MAX_STRIKES = 3;
/** Fewer bytes than this in one try count as no progress. */
const PROGRESS_BYTES = 1024 ** 2;

const HEALS: ReadonlySet<DistributionFailureReason> = new Set(['repository-unreachable', 'download-stalled', 'no-space', 'io-error', 'digest-mismatch']);

/** Whether the same try may end better later. */
export function mayHeal(reason: DistributionFailureReason): boolean {
  return HEALS.has(reason);
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
    strikes: before.strikes + (reason === 'digest-mismatch' ? 1 : 0),
  };
  if (!mayHeal(reason) || state.strikes >= MAX_STRIKES) return { retry: false, state };
  const pause = Math.min(FIRST_DELAY_MS * 2 ** Math.min(Math.max(state.stuck - 1, 0), 30), longestMs);
  // Never longer than the limit: the jitter only shortens.
  return { retry: true, state, delayMs: Math.round(pause * (1 - jitter / 4)) };
}
