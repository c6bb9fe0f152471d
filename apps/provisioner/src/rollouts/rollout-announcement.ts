/** What is told of a rollout: facts, and its present state. */
import { type RolloutCounts, rolloutStatus, type RolloutStatus } from '@plinth/contracts';
import type { OutboxEvent } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { countMembers, type RolloutRow, statusOfRollout } from './rollout.store.js';
import { budgetsOf } from './domain/rollout-budgets.js';

export interface RolloutNews {
  readonly subject: string;
  readonly message: string;
  /** What this fact says beside what all say. */
  readonly data?: object;
}

export async function presentStatus(manager: EntityManager, row: RolloutRow): Promise<RolloutStatus> {
  const { counts, batch, unassigned } = await countMembers(manager, row.id);
  return statusOfRollout(row, counts, batch, batchesOf(row, counts, batch, unassigned));
}

/** The facts in their order, then the status. @param causationId of the request that caused it; absent: the rollout went on by itself */
export async function announceRollout(
  manager: EntityManager,
  add: (event: OutboxEvent) => void,
  row: RolloutRow,
  news: readonly RolloutNews[],
  causationId = row.request_id,
): Promise<void> {
  const status = await presentStatus(manager, row);
  const cause = { correlationId: row.correlation_id, causationId };
  for (const { subject, message, data } of news) {
    add({
      subject,
      aggregate: `rollout:${row.id}`,
      data: { rolloutId: row.id, to: row.target, state: row.state, counts: status.counts, message, ...data },
      ...cause,
    });
  }
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
