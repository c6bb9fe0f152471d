/** Whether a rollout's window is open. */
import type { RolloutWindow } from '@plinth/contracts';
import { Cron } from 'croner';

/** Open when it was opened within the last `minutes`. @param nowMs milliseconds since the epoch */
export function windowIsOpen(window: RolloutWindow | undefined, nowMs: number): boolean {
  if (!window) return true;
  const opened = nextOpening(window, nowMs - window.minutes * 60_000 - 1);
  return opened !== null && opened <= nowMs;
}

/** @returns milliseconds since the epoch; null: never again */
export function nextOpening(window: RolloutWindow, afterMs: number): number | null {
  return (
    new Cron(window.opens, { paused: true, timezone: window.timezone ?? 'UTC' })
      .nextRun(new Date(afterMs))
      ?.getTime() ?? null
  );
}
