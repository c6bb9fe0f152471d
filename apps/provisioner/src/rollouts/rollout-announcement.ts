/** What is published about a rollout: facts, and its present state. */
import {
  type EventOf,
  type FactSubject,
  type RolloutCounts,
  type RolloutFact,
  rolloutStatus,
  type RolloutStatus,
} from '@plinth/contracts';
import { type UnitOfWork } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { budgetsOf } from './domain/rollout-budgets.js';
import type { MemberTally } from './domain/rollout-view.js';
import { tallyMembers, tallyMembersOf } from './member.store.js';
import { type RolloutRow, statusOfRollout } from './rollout.store.js';

/** Makes a fact from the fields that all facts about a rollout share. */
export type RolloutAnnouncement = (fact: Omit<RolloutFact, 'message'>) => EventOf<FactSubject>;

export async function presentStatus(manager: EntityManager, row: RolloutRow): Promise<RolloutStatus> {
  return statusFrom(row, await tallyMembers(manager, row.id));
}

/** Statuses of rollouts, in the order of the rows. */
export async function presentStatuses(manager: EntityManager, rows: readonly RolloutRow[]): Promise<RolloutStatus[]> {
  const counted = await tallyMembersOf(
    manager,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => statusFrom(row, counted(row.id)));
}

function statusFrom(row: RolloutRow, { counts, batch, unassigned }: MemberTally): RolloutStatus {
  return statusOfRollout(row, counts, batch, batchesOf(row, counts, batch, unassigned));
}

/** The facts in their order, then the status. */
export async function announceRollout(
  unit: UnitOfWork,
  row: RolloutRow,
  announcements: readonly RolloutAnnouncement[],
): Promise<void> {
  const status = await presentStatus(unit.db, row);
  const fact = { rolloutId: row.id, to: row.target, state: row.state, counts: status.counts };
  for (const make of announcements) unit.publishEvent(make(fact), { aggregate: `rollout:${row.id}` });
  unit.publish(rolloutStatus(row.id), status);
}

function batchesOf(row: RolloutRow, counts: RolloutCounts, batch: number, unassigned: number): number {
  const canary = row.request.canary ?? 1;
  const size = budgetsOf(row.request, counts.total).batch;
  const begun = batch + 1;
  const left =
    begun === 0 && canary > 0 ? 1 + Math.ceil(Math.max(0, unassigned - canary) / size) : Math.ceil(unassigned / size);
  return begun + (unassigned === 0 ? 0 : left);
}
