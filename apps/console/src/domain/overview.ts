/** Numbers of the first page. Pure. */
import { CONTAINER_STATES, type ContainerState, type ContainerStatus } from '@plinth/contracts';
import { maySee, type Viewer } from './access.js';
import type { LiveState } from './live-state.js';

const MOST_REASONS = 10;
const REASON_LENGTH = 120;

export interface Reason {
  readonly message: string;
  readonly containers: number;
}

export interface Overview {
  readonly containers: Readonly<Record<ContainerState, number>>;
  readonly unhealthy: number;
  /** What containers that failed or are lost say of it, most frequent first. */
  readonly reasons: readonly Reason[];
  /** Absent for those who may not see hosts. */
  readonly hosts?: Readonly<Record<'ready' | 'suspect' | 'lost' | 'cordoned' | 'draining', number>>;
  readonly storage?: Readonly<Record<'ready' | 'lost', number>>;
  /** Ids of those that go on only when a person approves. */
  readonly waitingRollouts?: readonly string[];
}

export function countStates(containers: Iterable<ContainerStatus>): Record<ContainerState, number> {
  const counts = Object.fromEntries(CONTAINER_STATES.map((state) => [state, 0])) as Record<ContainerState, number>;
  for (const { state } of containers) counts[state]++;
  return counts;
}

export function overviewOf(viewer: Viewer, state: LiveState): Overview {
  const containers = state.all('containers').filter((status) => maySee(viewer, 'containers', status));
  const common = {
    containers: countStates(containers),
    unhealthy: containers.filter(({ health }) => health === 'unhealthy').length,
    reasons: reasonsOf(containers),
  };
  if (viewer.role === 'developer') return common;
  const hosts = state.all('hosts');
  const storage = state.all('storage');
  const hostsIn = (wanted: string): number => hosts.filter((host) => host.state === wanted).length;
  return {
    ...common,
    hosts: {
      ready: hostsIn('ready'),
      suspect: hostsIn('suspect'),
      lost: hostsIn('lost'),
      cordoned: hosts.filter(({ cordoned }) => cordoned).length,
      draining: hosts.filter(({ drain }) => drain !== null).length,
    },
    storage: {
      ready: storage.filter((node) => node.state === 'ready').length,
      lost: storage.filter((node) => node.state === 'lost').length,
    },
    waitingRollouts: state.all('rollouts').flatMap(({ id, wait }) => (wait?.reason === 'approval-needed' ? [id] : [])),
  };
}

function reasonsOf(containers: readonly ContainerStatus[]): Reason[] {
  const counts = new Map<string, number>();
  for (const { state, message } of containers) {
    if ((state !== 'failed' && state !== 'lost') || message === null) continue;
    const reason = message.slice(0, REASON_LENGTH);
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts]
    .map(([message, count]) => ({ message, containers: count }))
    .sort((a, b) => b.containers - a.containers)
    .slice(0, MOST_REASONS);
}
