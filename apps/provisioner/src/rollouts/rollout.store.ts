/** Rows of rollouts and their members. */
import type {
  MemberPhase,
  RolloutCounts,
  RolloutRequested,
  RolloutState,
  RolloutStatus,
  RolloutWait,
} from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { PlannedMember, RolloutView } from './domain/rollout-view.js';
import type { UpdateVerdict } from '../containers/domain/image-update.js';

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
}

export interface NewMember {
  readonly containerId: string;
  readonly from: string;
  readonly to: string;
  readonly phase: MemberPhase;
  readonly reason: string | null;
  readonly message: string | null;
}

export async function insertRollout(
  manager: EntityManager,
  rollout: { id: string; requestId: string; request: RolloutRequested; correlationId: string; target: string },
  members: readonly NewMember[],
): Promise<void> {
  await manager.query(
    `INSERT INTO rollouts (id, request_id, request, correlation_id, target, state)
       VALUES ($1, $2, $3, $4, $5, 'staging')`,
    [rollout.id, rollout.requestId, JSON.stringify(rollout.request), rollout.correlationId, rollout.target],
  );
  await manager.query(
    `INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase, reason, message)
     SELECT $1, m.ordinal, m."containerId", m."from", m."to", m.phase, m.reason, m.message
       FROM json_to_recordset($2::json) AS m(ordinal integer, "containerId" text, "from" text, "to" text, phase text,
         reason text, message text)`,
    [rollout.id, JSON.stringify(members.map((member, ordinal) => ({ ordinal, ...member })))],
  );
}

export async function activeRollouts(manager: EntityManager): Promise<string[]> {
  const rows: { id: string }[] = await manager.query('SELECT id FROM rollouts WHERE ended_at IS NULL ORDER BY ordinal');
  return rows.map(({ id }) => id);
}

/** Locks the row until the transaction ends: the provisioner that holds the lock decides for the rollout. */
/** The row has the database's time: all provisioners decide by one clock, the one that stamps their rows. */
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

interface MemberRow extends Omit<PlannedMember, 'changedAtMs'> {
  changedAtMs: string;
}

/** The input of the planner. It is read after the lock, so that it contains the writes of the previous holder. */
export async function loadRolloutView(manager: EntityManager, row: RolloutRow): Promise<RolloutView> {
  const members: MemberRow[] = await manager.query(
    `SELECT m.ordinal, m.container_id AS "containerId", c.tenant, c.host,
            coalesce(h.state = 'lost', true) AS "hostLost", c.config->>'storageNode' AS "storageNode",
            m.from_image AS "fromImage", m.to_image AS "toImage", m.phase, m.reason, m.batch,
            m.update_id IS NOT NULL AS switched, (extract(epoch FROM m.changed_at) * 1000)::bigint AS "changedAtMs",
            coalesce(c.moving->>'desired', c.config->>'desired') AS desired, c.state = 'removed' AS removed,
            c.config->>'image' AS image,
            coalesce(c.update->>'state' IN ('switching', 'reverting'), false) OR c.moving IS NOT NULL AS updating
       FROM rollout_members m JOIN containers c ON c.id = m.container_id LEFT JOIN hosts h ON h.host = c.host
      WHERE m.rollout_id = $1 ORDER BY m.ordinal`,
    [row.id],
  );
  const inProgress: RolloutView['inProgress'] = await manager.query(
    `SELECT c.id AS "containerId", c.host, c.tenant FROM containers c
       JOIN hosts h ON h.host = c.host AND h.state <> 'lost'
      WHERE c.state <> 'removed' AND c.config->>'desired' = 'running'
        AND (c.update->>'state' IN ('switching', 'reverting')
          OR c.id IN (SELECT container_id FROM rollout_members WHERE phase = 'restoring'))`,
  );
  const unstaged: RolloutView['unstaged'] = await manager.query(
    `SELECT DISTINCT c.config->>'storageNode' AS "storageNode", m.to_image AS image FROM rollout_members m
       JOIN containers c ON c.id = m.container_id
      WHERE m.rollout_id = $1 AND m.phase = 'pending' AND NOT EXISTS (
        SELECT 1 FROM masters a JOIN image_versions v ON v.name = a.name AND v.version = a.version
          AND v.content_digest = a.content_digest
         WHERE a.node = c.config->>'storageNode' AND a.name || '@' || a.version = m.to_image) ORDER BY 1, 2`,
    [row.id],
  );
  const withdrawn: { image: string }[] = await manager.query(
    `SELECT DISTINCT m.to_image AS image FROM rollout_members m
      WHERE m.rollout_id = $1 AND m.phase = 'pending' AND NOT EXISTS (SELECT 1 FROM image_versions v
        WHERE v.name || '@' || v.version = m.to_image AND v.state = 'promoted')`,
    [row.id],
  );
  return {
    request: row.request,
    state: row.state,
    pausedBecause: row.paused_because,
    approvedBatches: row.approved_batches,
    forgivenFailures: row.forgiven_failures,
    finishedBatch: row.finished_batch,
    changedAtMs: row.changed_at.getTime(),
    members: members.map((member) => ({ ...member, changedAtMs: Number(member.changedAtMs) })),
    inProgress,
    unstaged,
    withdrawn: withdrawn.map(({ image }) => image),
  };
}

export interface MemberChange {
  readonly phase: MemberPhase;
  readonly reason?: string;
  readonly message?: string;
  readonly updateId?: string;
  readonly restoreGeneration?: number;
}

export async function changeMember(
  manager: EntityManager,
  rolloutId: string,
  ordinal: number,
  change: MemberChange,
): Promise<void> {
  await manager.query(
    `UPDATE rollout_members SET phase = $3, reason = $4, message = $5, update_id = coalesce($6, update_id),
       restore_generation = coalesce($7, restore_generation), changed_at = now()
      WHERE rollout_id = $1 AND ordinal = $2`,
    [
      rolloutId,
      ordinal,
      change.phase,
      change.reason ?? null,
      change.message ?? null,
      change.updateId ?? null,
      change.restoreGeneration ?? null,
    ],
  );
}

export async function assignBatch(
  manager: EntityManager,
  rolloutId: string,
  ordinal: number,
  batch: number | null,
): Promise<void> {
  await manager.query('UPDATE rollout_members SET batch = $3 WHERE rollout_id = $1 AND ordinal = $2', [
    rolloutId,
    ordinal,
    batch,
  ]);
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

/** Counts of the members of a rollout by phase and batch. */
export interface MemberCounts {
  readonly counts: RolloutCounts;
  /** The last batch that has begun; -1: none. */
  readonly batch: number;
  /** Pending members without a batch. */
  readonly unassigned: number;
}

interface PhaseCount {
  readonly rollout_id: string;
  readonly phase: MemberPhase;
  readonly count: number;
  readonly batch: number | null;
  readonly unassigned: number;
}

export async function countMembers(manager: EntityManager, rolloutId: string): Promise<MemberCounts> {
  return (await countMembersOf(manager, [rolloutId]))(rolloutId);
}

/** Reads the counts of any number of rollouts in one query. */
export async function countMembersOf(
  manager: EntityManager,
  rolloutIds: readonly string[],
): Promise<(rolloutId: string) => MemberCounts> {
  const rows: PhaseCount[] = await manager.query(
    `SELECT rollout_id, phase, count(*)::int AS count, max(batch) AS batch,
       count(*) FILTER (WHERE phase = 'pending' AND batch IS NULL)::int AS unassigned
       FROM rollout_members WHERE rollout_id = ANY($1) GROUP BY rollout_id, phase`,
    [rolloutIds],
  );
  return (rolloutId) => sumUp(rows.filter((row) => row.rollout_id === rolloutId));
}

function sumUp(rows: readonly PhaseCount[]): MemberCounts {
  const of = (phase: MemberPhase): number => rows.find((row) => row.phase === phase)?.count ?? 0;
  return {
    counts: {
      total: rows.reduce((sum, row) => sum + row.count, 0),
      pending: of('pending'),
      switching: of('switching'),
      updated: of('updated'),
      failed: of('failed'),
      skipped: of('skipped'),
      restoring: of('restoring'),
      restored: of('restored'),
    },
    batch: Math.max(-1, ...rows.map((row) => row.batch ?? -1)),
    unassigned: rows.reduce((sum, row) => sum + row.unassigned, 0),
  };
}

/** A host's verdict on an update, for the member of a rollout that has it, if any. @returns whether there is one */
export async function judgeMember(manager: EntityManager, verdict: UpdateVerdict): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(
    `UPDATE rollout_members SET phase = $2, reason = $3, message = $4, changed_at = now()
      WHERE update_id = $1 AND (phase = 'switching'
        OR (phase IN ('failed', 'skipped') AND reason IN ('deadline', 'host-lost'))) RETURNING 1`,
    [verdict.updateId, verdict.phase, verdict.reason, verdict.message],
  );
  if (rows.length > 0) return true;
  // The end of a revert changes no phase, but the rollout may be waiting for it.
  const known: unknown[] = await manager.query('SELECT 1 FROM rollout_members WHERE update_id = $1', [
    verdict.updateId,
  ]);
  return known.length > 0;
}

/**
 * A container runs by a config of this generation: the members that this config restores are restored.
 * @returns whether there were any
 */
export async function memberStarted(manager: EntityManager, containerId: string, generation: number): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(
    `UPDATE rollout_members SET phase = 'restored', reason = NULL, message = NULL, changed_at = now()
      WHERE container_id = $1 AND restore_generation <= $2 AND (phase = 'restoring'
        OR (phase IN ('failed', 'skipped') AND reason IN ('deadline', 'host-lost'))) RETURNING 1`,
    [containerId, generation],
  );
  return rows.length > 0;
}

/** Skips the member whose update another one has replaced. @param updateId undefined: there was none */
export async function supersedeMember(
  manager: EntityManager,
  containerId: string,
  updateId: string | undefined,
): Promise<void> {
  if (updateId === undefined) return;
  await manager.query(
    `UPDATE rollout_members SET phase = 'skipped', reason = 'superseded',
       message = 'another update was requested meanwhile', changed_at = now()
      WHERE container_id = $1 AND update_id = $2 AND phase = 'switching'`,
    [containerId, updateId],
  );
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
