/** Records whose time is over. All of it is idempotent, and several provisioners may do it at once. */
import type { EntityManager } from 'typeorm';

/** Rows that one transaction deletes: a longer one would hold locks and dead rows of every table. */
export const PIECE = 1_000;

/**
 * Containers that were removed for so long that the bus need not have their status, oldest first. One whose last status
 * has not reached the bus is left for later: it would come after the deletion.
 */
export async function oldStatuses(manager: EntityManager, hours: number, count: number): Promise<readonly string[]> {
  const rows: { id: string }[] = await manager.query(
    `SELECT id FROM containers c
      WHERE status_kept AND removed_at < now() - $1 * interval '1 hour'
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.sent_at IS NULL AND o.aggregate = 'status.container.' || c.id)
      ORDER BY removed_at LIMIT $2`,
    [hours, count],
  );
  return rows.map(({ id }) => id);
}

export async function markForgotten(manager: EntityManager, ids: readonly string[]): Promise<void> {
  await manager.query('UPDATE containers SET status_kept = false WHERE id = ANY($1)', [ids]);
}

/**
 * Deletes removed containers with their history. Members of a rollout stay as long as it does.
 * @returns how many; fewer than a piece: no more are due
 */
export async function deleteRemovedContainers(manager: EntityManager, days: number): Promise<number> {
  const rows: unknown[] = await manager.query(
    `WITH due AS (
       SELECT id FROM containers c
        WHERE NOT status_kept AND removed_at < now() - $1 * interval '1 day'
          AND NOT EXISTS (SELECT 1 FROM rollout_members m WHERE m.container_id = c.id)
        ORDER BY removed_at LIMIT ${PIECE} FOR UPDATE SKIP LOCKED),
     history AS (DELETE FROM container_history h USING due WHERE h.container_id = due.id),
     changes AS (DELETE FROM container_changes x USING due WHERE x.container_id = due.id),
     gone AS (DELETE FROM containers c USING due WHERE c.id = due.id RETURNING c.id)
     SELECT id FROM gone`,
    [days],
  );
  return rows.length;
}

/** Deletes the oldest rollout that ended so long ago, with its members. @returns whether there was one */
export async function deleteEndedRollout(manager: EntityManager, days: number): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `WITH due AS (
       SELECT id FROM rollouts WHERE ended_at < now() - $1 * interval '1 day'
        ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED),
     members AS (DELETE FROM rollout_members m USING due WHERE m.rollout_id = due.id),
     gone AS (DELETE FROM rollouts r USING due WHERE r.id = due.id RETURNING r.id)
     SELECT id FROM gone`,
    [days],
  );
  return rows.length > 0;
}

/** Containers with more entries in their history than are kept; reads the whole index. */
export async function longHistories(manager: EntityManager, keep: number): Promise<readonly string[]> {
  const rows: { id: string }[] = await manager.query(
    'SELECT container_id AS id FROM container_history GROUP BY container_id HAVING count(*) > $1',
    [keep],
  );
  return rows.map(({ id }) => id);
}

/** Keeps the newest entries. */
export async function shortenHistory(manager: EntityManager, id: string, keep: number): Promise<void> {
  await manager.query(
    `DELETE FROM container_history WHERE container_id = $1 AND ordinal <= (
       SELECT ordinal FROM container_history WHERE container_id = $1 ORDER BY ordinal DESC OFFSET $2 LIMIT 1)`,
    [id, keep],
  );
}
