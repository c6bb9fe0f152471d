/** The life of a container as the provisioner sees it: an explicit state machine. */
import type { ContainerState } from '@plinth/contracts';

export type ContainerEvent =
  | 'starting'
  | 'started'
  | 'stopping'
  | 'stopped'
  /** The container has ended, and its restart policy starts it again. */
  | 'restarting'
  | 'failed'
  | 'removed'
  /** Its host has released the container; it is started on another. */
  | 'released'
  | 'host-lost'
  | 'stop-requested'
  | 'start-requested'
  | 'restart-requested'
  | 'remove-requested'
  /** Of ports, egress or limits. */
  | 'change-requested'
  /** The image of the container is being changed, or changed back. */
  | 'update-requested'
  | 'updated'
  | 'reverting'
  | 'reverted'
  | 'update-refused'
  | 'healthy'
  | 'unhealthy'
  | 'limited';

type Row = Partial<Record<ContainerEvent, ContainerState>>;

/** The host's report is authoritative: reports are accepted in every state but `removed`. */
const REPORTED: Row = {
  starting: 'starting',
  started: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  restarting: 'starting',
  failed: 'failed',
  removed: 'removed',
  released: 'scheduled',
  reverting: 'stopping',
  reverted: 'running',
};

/** They leave the container in its state. */
const WITHOUT_EFFECT: readonly ContainerEvent[] = [
  'change-requested',
  'updated',
  'update-refused',
  'healthy',
  'unhealthy',
  'limited',
];

const TABLE: Readonly<Record<ContainerState, Row>> = {
  requested: { ...REPORTED, 'remove-requested': 'stopping' },
  scheduled: {
    ...REPORTED,
    'host-lost': 'lost',
    'update-requested': 'scheduled',
    'stop-requested': 'stopping',
    'restart-requested': 'scheduled',
    'remove-requested': 'stopping',
  },
  starting: {
    ...REPORTED,
    'host-lost': 'lost',
    'update-requested': 'starting',
    'stop-requested': 'stopping',
    'restart-requested': 'starting',
    'remove-requested': 'stopping',
  },
  running: {
    ...REPORTED,
    'host-lost': 'lost',
    'update-requested': 'running',
    'stop-requested': 'stopping',
    'restart-requested': 'stopping',
    'remove-requested': 'stopping',
  },
  stopping: {
    ...REPORTED,
    'host-lost': 'lost',
    'update-requested': 'stopping',
    'start-requested': 'scheduled',
    'restart-requested': 'stopping',
    'remove-requested': 'stopping',
  },
  stopped: {
    ...REPORTED,
    'update-requested': 'stopped',
    'start-requested': 'scheduled',
    'restart-requested': 'scheduled',
    'remove-requested': 'stopping',
  },
  failed: {
    ...REPORTED,
    'host-lost': 'lost',
    'update-requested': 'scheduled',
    'stop-requested': 'stopping',
    'start-requested': 'scheduled',
    'restart-requested': 'scheduled',
    'remove-requested': 'stopping',
  },
  lost: {
    ...REPORTED,
    'update-requested': 'lost',
    'stop-requested': 'lost',
    'start-requested': 'lost',
    'restart-requested': 'lost',
    'remove-requested': 'lost',
  },
  removed: {},
};

/** @returns undefined when the event is not possible in this state */
export function transition(state: ContainerState, event: ContainerEvent): ContainerState | undefined {
  if (WITHOUT_EFFECT.includes(event)) return state === 'removed' ? undefined : state;
  return TABLE[state][event];
}

/** The event that a host's report stands for. */
export function eventOfReport(kind: string, retryInMs: number | undefined): ContainerEvent {
  if (kind === 'stopped' && retryInMs !== undefined) return 'restarting';
  return kind as ContainerEvent;
}
