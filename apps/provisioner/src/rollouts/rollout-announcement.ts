/** What is told of a rollout: facts, and its present state. */
import {
  type EventOf,
  type FactSubject,
  type RolloutCounts,
  type RolloutFact,
  rolloutStatus,
  type RolloutStatus,
} from '@plinth/contracts';
import type { OutboxEvent } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { countMembers, type RolloutRow, statusOfRollout } from './rollout.store.js';
import { budgetsOf } from './domain/rollout-budgets.js';

/** Makes a fact of what every fact about a rollout says. */
export type RolloutAnnouncement = (fact: Omit<RolloutFact, 'message'>) => EventOf<FactSubject>;

export async function presentStatus(manager: EntityManager, row: RolloutRow): Promise<RolloutStatus> {
  const { counts, batch, unassigned } = await countMembers(manager, row.id);
  return statusOfRollout(row, counts, batch, batchesOf(row, counts, batch, unassigned));
}

/** The facts in their order, then the status. @param causationId of the request that caused it; absent: the rollout went on by itself */
export async function announceRollout(
  manager: EntityManager,
  add: (event: OutboxEvent) => void,
  row: RolloutRow,
  news: readonly RolloutAnnouncement[],
  causationId = row.request_id,
): Promise<void> {
  const status = await presentStatus(manager, row);
  const cause = { correlationId: row.correlation_id, causationId };
  const fact = { rolloutId: row.id, to: row.target, state: row.state, counts: status.counts };
  for (const make of news) add({ ...make(fact), aggregate: `rollout:${row.id}`, ...cause });
  add({ subject: rolloutStatus(row.id), data: status, ...cause });
}

function batchesOf(row: RolloutRow, counts: RolloutCounts, batch: number, unassigned: number): number {
  const canary = row.request.canary ?? 1;
  const size = budgetsOf(row.request, counts.total).batch;
  const begun = batch + 1;
  const left =
    begun === 0 && canary > 0 ? 1 + Math.ceil(Math.max(0, unassigned - canary) / size) : Math.ceil(unassigned / size);
  return begun + (unassigned === 0 ? 0 : left);
}
