/** When a container that ended, or could not be started, is started again. */
import type { ContainerFailureReason, RestartPolicy } from '@plinth/contracts';

/** Exit code of a process that SIGKILL ended. */
export const KILLED = 137;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;
/** A run of this length counts as healthy: the next end starts the count again. */
export const HEALTHY_AFTER_MS = 60_000;

/** 1 s, doubled each time, at most a minute. @param attempt from 1 */
export function backoffMs(attempt: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 16), LONGEST_DELAY_MS);
}

export type Verdict =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly restartsInRow: number }
  /** It finished its work, or may not be started again; this is no failure. */
  | { readonly kind: 'finished' }
  | { readonly kind: 'failed'; readonly reason: Extract<ContainerFailureReason, 'exited' | 'crash-loop'> };

/**
 * @param exitCode absent: not known; counts as a failure
 * @param upMs how long the run lasted
 * @param restartsInRow before this end
 */
export function judgeExit(
  policy: RestartPolicy,
  exitCode: number | undefined,
  upMs: number,
  restartsInRow: number,
): Verdict {
  const wanted = policy.policy === 'always' || (policy.policy === 'on-failure' && exitCode !== 0);
  if (!wanted) return exitCode === 0 ? { kind: 'finished' } : { kind: 'failed', reason: 'exited' };
  const before = upMs >= HEALTHY_AFTER_MS ? 0 : restartsInRow;
  if (policy.maxRetries !== undefined && before >= policy.maxRetries) return { kind: 'failed', reason: 'crash-loop' };
  return { kind: 'restart', delayMs: backoffMs(before + 1), restartsInRow: before + 1 };
}

/** Failures that last until the config or the agent's own settings change: images are immutable. */
const PERMANENT: ReadonlySet<ContainerFailureReason> = new Set([
  'network-not-allowed',
  'host-users-not-allowed',
  'command-not-found',
  'mount-plan-invalid',
  'mount-point-not-directory',
]);

/** Whether a failed start may succeed later under the same config. */
export function mayHeal(reason: ContainerFailureReason): boolean {
  return !PERMANENT.has(reason);
}
