/** An image that was promoted to this node: the promotion, and the state of its installation. */
import type { ImagePromoted, MasterReport } from '@plinth/contracts';
import {
  type Failure,
  FRESH,
  type Installed,
  longestPauseMs,
  planRetry,
  type RetryState,
} from '@plinth/image-transfer/domain';

export interface WantedImage {
  readonly schema: 1;
  readonly promotion: ImagePromoted;
  /** Event id of the promotion. */
  readonly eventId: string;
  readonly correlationId: string;
  readonly wantedAt: string;
  readonly retry: RetryState;
  /** Time of the next try, milliseconds since the epoch. */
  readonly notBefore: number;
  /** Report that is decided and not yet known to be stored on the bus. One without `retryInMs` is the last. */
  readonly report?: MasterReport;
}

export interface Situation {
  readonly node: string;
  readonly now: Date;
  readonly durationMs: number;
}

export function want(
  promotion: ImagePromoted,
  event: { readonly id: string; readonly correlationId: string },
  now: Date,
): WantedImage {
  return {
    schema: 1,
    promotion,
    eventId: event.id,
    correlationId: event.correlationId,
    wantedAt: now.toISOString(),
    retry: FRESH,
    notBefore: 0,
  };
}

export function afterSuccess(
  wanted: WantedImage,
  installed: Installed,
  { node, now, durationMs }: Situation,
): WantedImage {
  const { name, version } = wanted.promotion;
  return {
    ...wanted,
    report: {
      kind: 'distributed',
      node,
      name,
      version,
      at: now.toISOString(),
      ...installed,
      durationMs,
      attempt: wanted.retry.attempts + 1,
    },
  };
}

/** @param jitter 0 to 1 */
export function afterFailure(
  wanted: WantedImage,
  failure: Failure,
  downloadedBytes: number,
  { node, now, durationMs }: Situation,
  longestMs: number,
  jitter: number,
): WantedImage {
  const { name, version, contentDigest } = wanted.promotion;
  const plan = planRetry(failure.reason, wanted.retry, downloadedBytes, longestMs, jitter);
  const retryInMs = plan.retry ? plan.delayMs : undefined;
  return {
    ...wanted,
    retry: plan.state,
    notBefore: plan.retry ? now.getTime() + plan.delayMs : 0,
    report: {
      kind: 'failed',
      node,
      name,
      version,
      at: now.toISOString(),
      contentDigest,
      downloadedBytes,
      durationMs,
      reason: failure.reason,
      message: failure.message,
      attempt: plan.state.attempts,
      retryInMs,
    },
  };
}

/** @returns undefined when nothing is left to do */
export function afterReport(wanted: WantedImage): WantedImage | undefined {
  const { report, ...rest } = wanted;
  return report?.retryInMs === undefined ? undefined : rest;
}

/** Milliseconds until the next try; a clock that was set back never makes the pause longer than the limit. */
export function waitMs(wanted: WantedImage, now: number, longestMs: number): number {
  const leftMs = wanted.notBefore - now;
  // No pause is as long, so the clock was set back.
  return leftMs > longestPauseMs(longestMs) ? 0 : Math.max(0, leftMs);
}
