/** Which containers a rebalance leaves where they are. */
import type { ContainerState, HealthState, RestartPolicy, StayReason, UpdateStatus } from '@plinth/contracts';

export interface Standing {
  readonly state: ContainerState;
  readonly desired: string;
  readonly health: HealthState | null;
  readonly restart: RestartPolicy['policy'];
  readonly update: UpdateStatus['state'] | null;
  readonly isInRollout: boolean;
  readonly isMoving: boolean;
  /** Last move, ms since 1970; null: never. */
  readonly movedAt: number | null;
  /** Containers may be started on its image. */
  readonly isImageServed: boolean;
}

/** The first reason that holds; undefined: it may move. A stopped one loses nothing by it. */
export function whyItStays(container: Standing, now: number, cooldownMs: number): StayReason | undefined {
  const { state, desired, health, restart, update, movedAt } = container;
  if (container.isMoving) return 'moving';
  const runs = state === 'running' && desired === 'running';
  if (!runs && !(state === 'stopped' && desired === 'stopped')) return 'unsettled';
  if (update === 'switching' || update === 'reverting') return 'update';
  if (container.isInRollout) return 'rollout';
  if (runs && health !== null && health !== 'healthy') return 'unhealthy';
  if (runs && restart !== 'always') return 'job';
  if (movedAt !== null && now - movedAt < cooldownMs) return 'moved-recently';
  return container.isImageServed ? undefined : 'image-withdrawn';
}
