/** Why an installation did not succeed: an expected outcome, passed on as a value. */
import type { DistributionFailureReason } from '@plinth/contracts';

export interface Failure {
  readonly reason: DistributionFailureReason;
  /** One sentence for people. */
  readonly message: string;
}

export type Refused = { readonly ok: false } & Failure;
export type Outcome<T> = { readonly ok: true; readonly value: T } | Refused;

export function done<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function failed(reason: DistributionFailureReason, message: string): Refused {
  return { ok: false, reason, message: message.slice(0, 1_500) };
}

/**
 * Combines the failures of several sources into one. A failure that may heal has priority, because one healthy source
 * is enough; the message names all.
 */
export function combineFailures(
  failures: readonly Failure[],
  mayHeal: (reason: DistributionFailureReason) => boolean,
): Failure {
  const decisive = failures.find((failure) => mayHeal(failure.reason)) ?? failures[0];
  if (!decisive) return { reason: 'repository-unreachable', message: 'there was no source to try' };
  return {
    reason: decisive.reason,
    message: [...new Set(failures.map((failure) => failure.message))].join('; ').slice(0, 2_000),
  };
}
