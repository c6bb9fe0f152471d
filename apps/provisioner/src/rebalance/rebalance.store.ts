/** Rows of rebalances and of their moves. */
import type {
  FleetBalance,
  RebalanceCounts,
  RebalanceDetails,
  RebalanceMovePhase,
  RebalancePlan,
  RebalanceRequested,
  RebalanceState,
} from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { OpenMove } from './domain/next-move.js';

export interface RebalanceRow {
  id: string;
  request_id: string;
  correlation_id: string;
  request: RebalanceRequested;
  before: FleetBalance;
  after: FleetBalance;
  state: RebalanceState;
  /** How it ended; before that, why the last move failed. */
  message: string | null;
  failed_in_row: number;
  requested_at: Date;
  ended_at: Date | null;
}

export interface NewRebalance {
  readonly id: string;
  readonly requestId: string;
  readonly correlationId: string;
  readonly request: RebalanceRequested;
  readonly plan: RebalancePlan;
}

/** @returns false when another one has not ended: nothing was written */
export async function insertRebalance(manager: EntityManager, given: NewRebalance): Promise<boolean> {
  const { id, requestId, correlationId, request, plan } = given;
  const rows: unknown[] = await manager.query(
    `INSERT INTO rebalances (id, request_id, correlation_id, request, before, after, state)
       VALUES ($1, $2, $3, $4, $5, $6, 'running') ON CONFLICT DO NOTHING RETURNING id`,
    [id, requestId, correlationId, JSON.stringify(request), JSON.stringify(plan.before), JSON.stringify(plan.after)],
  );
  if (rows.length === 0) return false;
  await manager.query(
    `INSERT INTO rebalance_moves (rebalance_id, ordinal, container_id, move, phase)
       SELECT $1, m.ordinal, m.move->>'containerId', m.move, 'pending'
         FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS m(move, ordinal)`,
    [id, JSON.stringify(plan.moves)],
  );
  return true;
}

/** The one that has not ended; undefined: there is none. */
export async function activeRebalance(manager: EntityManager): Promise<string | undefined> {
  const rows: { id: string }[] = await manager.query('SELECT id FROM rebalances WHERE ended_at IS NULL');
  return rows[0]?.id;
}

/** Locks the one that has not ended until the transaction ends; undefined: there is none, or another provisioner has it. */
export async function lockActiveRebalance(manager: EntityManager): Promise<RebalanceRow | undefined> {
  const rows: RebalanceRow[] = await manager.query(
    'SELECT * FROM rebalances WHERE ended_at IS NULL FOR UPDATE SKIP LOCKED',
  );
  return rows[0];
}

export async function lockRebalance(manager: EntityManager, id: string): Promise<RebalanceRow | undefined> {
  const rows: RebalanceRow[] = await manager.query('SELECT * FROM rebalances WHERE id = $1 FOR UPDATE', [id]);
  return rows[0];
}

const OPEN_MOVE = `m.ordinal, m.move, m.phase, m.message,
            coalesce(extract(epoch FROM now() - m.begun_at), 0)::float8 AS "ageSeconds",
            CASE WHEN c.id IS NULL THEN NULL ELSE json_build_object('state', c.state, 'desired', c.config->>'desired',
              'host', c.host, 'group', c.config->>'group', 'isMoving', c.moving IS NOT NULL,
              'isReleased', coalesce((c.moving->>'released')::boolean, false), 'hasCheck', c.config ? 'health',
              'health', c.health, 'message', c.message) END AS container
       FROM rebalance_moves m LEFT JOIN containers c ON c.id = m.container_id`;

/** In the order in which they were begun. */
export async function movesInProgress(manager: EntityManager, id: string): Promise<readonly OpenMove[]> {
  return manager.query(
    `SELECT ${OPEN_MOVE} WHERE m.rebalance_id = $1 AND m.phase IN ('pending', 'moving') AND m.phase = 'moving'
      ORDER BY m.ordinal`,
    [id],
  );
}

export async function isMovePending(manager: EntityManager, id: string): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `SELECT 1 FROM rebalance_moves
      WHERE rebalance_id = $1 AND phase IN ('pending', 'moving') AND phase = 'pending' LIMIT 1`,
    [id],
  );
  return rows.length > 0;
}

export interface WhichPending {
  /** Ordinal of the one after which they come. */
  readonly after: number;
  /** Groups, `tenant/group`, of which none is wanted. */
  readonly busy: readonly string[];
  readonly limit: number;
}

/** Those that have not begun, in the order in which they are begun. */
export async function pendingMoves(
  manager: EntityManager,
  id: string,
  { after, busy, limit }: WhichPending,
): Promise<readonly OpenMove[]> {
  return manager.query(
    `SELECT ${OPEN_MOVE} WHERE m.rebalance_id = $1 AND m.phase IN ('pending', 'moving') AND m.phase = 'pending'
        AND m.ordinal > $2 AND coalesce((m.move->>'tenant') || '/' || (c.config->>'group') <> ALL ($3::text[]), true)
      ORDER BY m.ordinal LIMIT $4`,
    [id, after, busy, limit],
  );
}

export async function saveMove(
  manager: EntityManager,
  id: string,
  ordinal: number,
  { phase, message }: { readonly phase: RebalanceMovePhase; readonly message: string | null },
): Promise<void> {
  await manager.query(
    `UPDATE rebalance_moves SET phase = $3, message = $4,
            begun_at = CASE WHEN $3 = 'moving' THEN coalesce(begun_at, now()) ELSE begun_at END,
            ended_at = CASE WHEN $3 IN ('pending', 'moving') THEN NULL ELSE now() END
      WHERE rebalance_id = $1 AND ordinal = $2`,
    [id, ordinal, phase, message],
  );
}

/** @param message why the last one failed; null: it stays */
export async function saveFailedInRow(
  manager: EntityManager,
  id: string,
  failed: number,
  message: string | null,
): Promise<void> {
  await manager.query('UPDATE rebalances SET failed_in_row = $2, message = coalesce($3, message) WHERE id = $1', [
    id,
    failed,
    message,
  ]);
}

export async function saveState(manager: EntityManager, id: string, state: RebalanceState): Promise<void> {
  await manager.query('UPDATE rebalances SET state = $2 WHERE id = $1', [id, state]);
}

/** Moves that were not begun are skipped. */
export async function endRebalance(
  manager: EntityManager,
  id: string,
  state: RebalanceState,
  message: string,
): Promise<void> {
  await manager.query(
    `UPDATE rebalance_moves SET phase = 'skipped', message = $2, ended_at = now()
      WHERE rebalance_id = $1 AND phase = 'pending'`,
    [id, 'the rebalance ended before its turn'],
  );
  await manager.query('UPDATE rebalances SET state = $2, message = $3, ended_at = now() WHERE id = $1', [
    id,
    state,
    message,
  ]);
}

export async function countMoves(manager: EntityManager, id: string): Promise<RebalanceCounts> {
  const rows: RebalanceCounts[] = await manager.query(
    `SELECT count(*)::int AS total, count(*) FILTER (WHERE phase = 'pending')::int AS pending,
            count(*) FILTER (WHERE phase = 'moving')::int AS moving,
            count(*) FILTER (WHERE phase = 'moved')::int AS moved,
            count(*) FILTER (WHERE phase = 'failed')::int AS failed,
            count(*) FILTER (WHERE phase = 'skipped')::int AS skipped FROM rebalance_moves WHERE rebalance_id = $1`,
    [id],
  );
  return rows[0] ?? { total: 0, pending: 0, moving: 0, moved: 0, failed: 0, skipped: 0 };
}

/** Whether a container of the group, beside the given one, is not up though it is to run. */
export async function isGroupDown(
  manager: EntityManager,
  tenant: string,
  group: string,
  except: string,
): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `SELECT 1 FROM containers WHERE tenant = $1 AND config->>'group' = $2 AND config->>'group' IS NOT NULL
        AND state <> 'removed' AND id <> $3 AND config->>'desired' IN ('running', 'released')
        AND (moving IS NOT NULL OR state <> 'running' OR health IN ('starting', 'unhealthy')) LIMIT 1`,
    [tenant, group, except],
  );
  return rows.length > 0;
}

/** @param id undefined: the newest */
export async function rebalanceDetails(
  manager: EntityManager,
  id: string | undefined,
): Promise<RebalanceDetails | undefined> {
  const rows: RebalanceRow[] = await manager.query(
    'SELECT * FROM rebalances WHERE $1::text IS NULL OR id = $1 ORDER BY ordinal DESC LIMIT 1',
    [id ?? null],
  );
  const row = rows[0];
  if (!row) return undefined;
  const moves: (Pick<OpenMove, 'move' | 'message'> & {
    phase: RebalanceMovePhase;
    begun_at: Date | null;
    ended_at: Date | null;
  })[] = await manager.query(
    'SELECT move, phase, message, begun_at, ended_at FROM rebalance_moves WHERE rebalance_id = $1 ORDER BY ordinal',
    [row.id],
  );
  return {
    id: row.id,
    state: row.state,
    request: row.request,
    counts: await countMoves(manager, row.id),
    before: row.before,
    after: row.after,
    message: row.message,
    requestedAt: row.requested_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    moves: moves.map(({ move, phase, message, begun_at, ended_at }) => ({
      ...move,
      phase,
      message,
      begunAt: begun_at?.toISOString() ?? null,
      endedAt: ended_at?.toISOString() ?? null,
    })),
  };
}

/** Whether a host of the data centre is known. */
export async function isDatacenter(manager: EntityManager, datacenter: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT 1 FROM hosts WHERE datacenter = $1 LIMIT 1', [datacenter]);
  return rows.length > 0;
}

/** Deletes the oldest that ended so long ago, with its moves. @returns whether there was one */
export async function deleteEndedRebalance(manager: EntityManager, days: number): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `WITH gone AS (
       DELETE FROM rebalances WHERE id = (
         SELECT id FROM rebalances WHERE ended_at < now() - $1 * interval '1 day'
          ORDER BY ended_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id)
     SELECT id FROM gone`,
    [days],
  );
  return rows.length > 0;
}
