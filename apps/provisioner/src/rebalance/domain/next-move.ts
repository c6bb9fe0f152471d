/** What comes next in a rebalance: pure. */
import type { ContainerState, HealthState, ProposedMove, RebalanceMovePhase, RebalanceState } from '@plinth/contracts';

/** A move that has not ended, with its container as it is now; null: there is none any more. */
export interface OpenMove {
  readonly ordinal: number;
  readonly move: ProposedMove;
  readonly phase: 'pending' | 'moving';
  readonly message: string | null;
  /** Since it was begun, by the database's clock. */
  readonly ageSeconds: number;
  readonly container: MovedContainer | null;
}

export interface MovedContainer {
  readonly state: ContainerState;
  readonly desired: string;
  readonly host: string;
  readonly group: string | null;
  readonly isMoving: boolean;
  readonly isReleased: boolean;
  readonly hasCheck: boolean;
  readonly health: HealthState | null;
  readonly message: string | null;
}

/** Until a container that was asked to move has to be up on its new host. */
export const MOVE_DEADLINE_SECONDS = 600;

export interface Judged {
  readonly phase: Exclude<RebalanceMovePhase, 'pending'>;
  readonly message: string | null;
}

/** How far a move is that was begun. A container that has a health check has to be healthy. */
export function judgeMove({ move, container, ageSeconds }: OpenMove): Judged {
  if (!container || container.state === 'removed' || container.desired === 'removed')
    return { phase: 'skipped', message: 'it was removed meanwhile' };
  const settled = settledMove(container, move.from, move.to);
  if (settled.phase !== 'moving' || ageSeconds < MOVE_DEADLINE_SECONDS) return settled;
  const minutes = Math.round(MOVE_DEADLINE_SECONDS / 60);
  return {
    phase: 'failed',
    message: `it was not up on ${move.to} within ${minutes} minutes; ${settled.message ?? ''}`,
  };
}

function settledMove(container: MovedContainer, from: string, to: string): Judged {
  const { state, host, desired, health, message } = container;
  const because = message ? `: ${message}` : '';
  if (state === 'lost') return { phase: 'failed', message: `its host ${host} is lost` };
  if (container.isMoving)
    return {
      phase: 'moving',
      message: container.isReleased ? `it waits for a host${because}` : `it stops on ${from}`,
    };
  if (host === from) return { phase: 'failed', message: `it is still on ${from}` };
  const moved = { phase: 'moved' as const, message: host === to ? null : `it came to ${host}: ${to} was lost` };
  if (desired === 'stopped') return state === 'stopped' ? moved : { phase: 'moving', message: `it stops on ${host}` };
  switch (state) {
    case 'failed':
      return { phase: 'failed', message: `it failed on ${host}${because}` };
    case 'running':
      if (health === 'unhealthy') return { phase: 'failed', message: `it is not healthy on ${host}` };
      if (container.hasCheck && health !== 'healthy')
        return { phase: 'moving', message: `it runs on ${host}, and is not healthy yet` };
      return moved;
    default:
      return { phase: 'moving', message: `it starts on ${host}${because}` };
  }
}

export type NextStep =
  /** The first pending one that can be begun, of none of these groups: one of each is in progress. */
  | { readonly kind: 'begin'; readonly busy: readonly string[] }
  | { readonly kind: 'wait' }
  | { readonly kind: 'end'; readonly state: RebalanceState; readonly message: string };

export interface Progress {
  readonly state: RebalanceState;
  readonly atOnce: number;
  readonly maxFailures: number;
  readonly failedInRow: number;
  /** Why the last one failed. */
  readonly lastFailure: string | null;
}

/**
 * @param inProgress moves that have begun and not ended; of a group no more than one is begun
 * @param isPending whether any has not begun
 */
export function nextStep(progress: Progress, inProgress: readonly OpenMove[], isPending: boolean): NextStep {
  const { state, atOnce, maxFailures, failedInRow, lastFailure } = progress;
  const begins = isPending && state === 'running' && failedInRow < maxFailures;
  if (inProgress.length === 0 && !begins) {
    if (failedInRow >= maxFailures) {
      const times = failedInRow === 1 ? 'a move failed' : `${failedInRow} moves in a row failed`;
      return { kind: 'end', state: 'stopped', message: `${times}, the last one: ${lastFailure ?? 'unknown'}` };
    }
    if (state === 'cancelling')
      return { kind: 'end', state: 'cancelled', message: 'a person cancelled it; what was moved stays' };
    return { kind: 'end', state: 'completed', message: 'every move has had its turn' };
  }
  if (inProgress.length >= atOnce || !begins) return { kind: 'wait' };
  return { kind: 'begin', busy: [...new Set(inProgress.flatMap(groupOf))] };
}

function groupOf({ move, container }: OpenMove): string[] {
  return container?.group ? [`${move.tenant}/${container.group}`] : [];
}
