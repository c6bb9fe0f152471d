/** Rows of rollouts. */
import type { RolloutCounts, RolloutRequested, RolloutState, RolloutStatus, RolloutWait } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { RolloutView } from './domain/rollout-view.js';

export interface RolloutRow {
  id: string;
  ordinal: string;
  request_id: string;
  request: RolloutRequested;
  correlation_id: string;
  target: string;
  state: RolloutState;
  paused_because: RolloutView['pausedBecause'];
  approved_batches: number;
  forgiven_failures: number;
  finished_batch: number;
  wait: RolloutWait | null;
  requested_at: Date;
  changed_at: Date;
  ended_at: Date | null;
  /** What the members need; null: of a rollout that an older provisioner has made. */
  needs: readonly RolloutNeed[] | null;
}

/** An image that a storage node has to hold. */
export interface RolloutNeed {
  readonly storageNode: string;
  readonly image: string;
}

export interface NewRollout {
  readonly id: string;
  readonly requestId: string;
  readonly request: RolloutRequested;
  readonly correlationId: string;
  readonly target: string;
}

export async function insertRollout(manager: EntityManager, rollout: NewRollout): Promise<void> {
  await manager.query(
    `INSERT INTO rollouts (id, request_id, request, correlation_id, target, state)
       VALUES ($1, $2, $3, $4, $5, 'staging')`,
    [rollout.id, rollout.requestId, JSON.stringify(rollout.request), rollout.correlationId, rollout.target],
  );
}

export async function activeRollouts(manager: EntityManager): Promise<string[]> {
  const rows: { id: string }[] = await manager.query('SELECT id FROM rollouts WHERE ended_at IS NULL ORDER BY ordinal');
  return rows.map(({ id }) => id);
}

/**
 * Locks the row until the transaction ends: the provisioner that holds the lock decides for the rollout. The row has the database's time: all provisioners decide by one clock, the one that stamps their rows.
 */
export async function lockRollout(
  manager: EntityManager,
  id: string,
): Promise<(RolloutRow & { readonly now: Date }) | undefined> {
  const rows: (RolloutRow & { now: Date })[] = await manager.query(
    'SELECT *, now() AS now FROM rollouts WHERE id = $1 FOR UPDATE',
    [id],
  );
  return rows[0];
}

/** Key of the advisory lock of the one that takes from the budgets; arbitrary, but the same in every provisioner. */
const BUDGETS_LOCK = 7_407;

/**
 * Until the transaction ends nobody else begins anything that counts against the budgets, which hold over all rollouts:
 * what is read of them after this call holds. Behind the row of a rollout, and before any container's.
 */
export async function lockBudgets(manager: EntityManager): Promise<void> {
  await manager.query(`SELECT pg_advisory_xact_lock(${BUDGETS_LOCK})`);
}

export interface RolloutChange {
  readonly state: RolloutState;
  readonly pausedBecause: RolloutView['pausedBecause'];
  readonly approvedBatches: number;
  readonly forgivenFailures: number;
  readonly finishedBatch: number;
  readonly wait: RolloutWait | null;
  readonly ended: boolean;
}

/** @returns the row after the change */
export async function saveRollout(manager: EntityManager, id: string, change: RolloutChange): Promise<RolloutRow> {
  const [rows]: [RolloutRow[], number] = await manager.query(
    `UPDATE rollouts SET state = $2, paused_because = $3, approved_batches = $4, forgiven_failures = $5,
       finished_batch = $6, wait = $7,
            changed_at = CASE WHEN state = $2 THEN changed_at ELSE now() END,
            ended_at = CASE WHEN NOT $8 THEN NULL ELSE coalesce(ended_at, now()) END
      WHERE id = $1 RETURNING *`,
    [
      id,
      change.state,
      change.pausedBecause,
      change.approvedBatches,
      change.forgivenFailures,
      change.finishedBatch,
      change.wait === null ? null : JSON.stringify(change.wait),
      change.ended,
    ],
  );
  const row = rows[0];
  if (!row) throw new Error(`rollout ${id} vanished under its lock`);
  return row;
}

export function changeOf(row: RolloutRow): RolloutChange {
  return {
    state: row.state,
    pausedBecause: row.paused_because,
    approvedBatches: row.approved_batches,
    forgivenFailures: row.forgiven_failures,
    finishedBatch: row.finished_batch,
    wait: row.wait,
    ended: row.ended_at !== null,
  };
}

/** @param batches how many there will be, as far as is known now */
export function statusOfRollout(row: RolloutRow, counts: RolloutCounts, batch: number, batches: number): RolloutStatus {
  return {
    id: row.id,
    state: row.state,
    to: row.target,
    select: row.request.select,
    counts,
    batch,
    batches,
    wait: row.wait,
    requestedAt: row.requested_at.toISOString(),
    changedAt: row.changed_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  };
}
