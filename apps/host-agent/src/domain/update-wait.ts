/**
 * How long an update waits for its image to be fetched: then it is refused, and what runs stays. Counted from when this
 * host first lacked the image, also over restarts of the agent. Pure.
 */
import type { ContainerConfig } from '@plinth/contracts';
import { isGivenUp, type MissingImage } from './image-supply.js';
import type { LocalRecord } from './local-record.js';
import type { Step } from './step.js';
import { acceptedTrial, trialOf } from './trial.js';

/** Longer than the host takes to try each source several times. */
export const UPDATE_WAIT_MS = 30 * 60_000;

export interface AwaitedUpdate {
  /** The config as it was requested. */
  readonly asked: ContainerConfig;
  readonly record: LocalRecord;
  readonly missing: ReadonlyMap<string, MissingImage> | undefined;
  readonly nowMs: number;
}

/** Steps that come before all others, or when the wait is over; undefined: no update waits for its image. */
export function planUpdateWait({
  asked,
  record,
  missing,
  nowMs,
}: AwaitedUpdate): { readonly steps: readonly Step[] } | { readonly untilMs: number } | undefined {
  const awaited = missing?.get(asked.image);
  const { update } = asked;
  if (!update || asked.desired !== 'running' || !awaited || isGivenUp(awaited) || trialOf(asked, record))
    return undefined;
  const { updateId } = update;
  if (record.awaiting?.updateId !== updateId)
    return {
      steps: [{ kind: 'remember', change: { awaiting: { updateId, sinceMs: nowMs } }, why: 'its image is fetched' }],
    };
  const untilMs = record.awaiting.sinceMs + UPDATE_WAIT_MS;
  if (nowMs < untilMs) return { untilMs };
  const { reason, message } = awaited.failure ?? {
    reason: 'image-unavailable' as const,
    message: `${asked.image} is still being fetched to this host`,
  };
  const cause = { reason, message: `${message}; the update has waited for it for ${UPDATE_WAIT_MS / 60_000} min` };
  const trial = acceptedTrial(updateId, asked.image, record, cause);
  return { steps: [{ kind: 'remember', change: { trial, awaiting: undefined }, why: 'the image did not come' }] };
}

/** The steps, which are planned again at the end of a wait. */
export function withWait(steps: readonly Step[], untilMs: number | undefined): readonly Step[] {
  if (untilMs === undefined) return steps;
  const [first] = steps;
  if (!first) return [{ kind: 'wait-until', atMs: untilMs, why: 'the image of the update is fetched' }];
  return first.kind === 'wait-until' && first.atMs > untilMs ? [{ ...first, atMs: untilMs }] : steps;
}
