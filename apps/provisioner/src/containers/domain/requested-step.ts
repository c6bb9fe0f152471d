/** Whether a request may begin a step of a container's life now, and the state that the container is in then. Pure. */
import type { ContainerState } from '@plinth/contracts';
import type { ContainerRecord } from './container-record.js';
import { type ContainerEvent, transition } from './container-state.js';

export type RequestedEvent = Extract<ContainerEvent, `${string}-requested`>;

export type RequestedStep =
  | { readonly ok: true; readonly state: ContainerState }
  | { readonly ok: false; readonly reason: 'wrong-state'; readonly message: string };

/**
 * A container that is moving has no host to ask. Of one that is being removed, its host may have deleted the data
 * already: nothing but its removal can be requested, again.
 */
export function requestedStep(
  { state: before, moving, config }: Pick<ContainerRecord, 'state' | 'moving' | 'config'>,
  event: RequestedEvent,
): RequestedStep {
  const isRemoved = config.desired === 'removed' && event !== 'remove-requested';
  const state = moving || isRemoved ? undefined : transition(before, event);
  if (state !== undefined) return { ok: true, state };
  const asked = event.slice(0, -'-requested'.length);
  const why = moving
    ? 'is moving to another host; try again in a moment'
    : isRemoved
      ? 'is being removed'
      : `is ${before}: it can't be asked to ${asked} now`;
  return { ok: false, reason: 'wrong-state', message: `${config.name} ${why}` };
}
