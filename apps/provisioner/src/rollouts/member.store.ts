/** Members of rollouts: chosen, counted, changed, many in one statement. */
import type { MemberPhase } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { UpdateVerdict } from '../containers/domain/image-update.js';
import { keptCounts } from '../placement/count.store.js';
import type { BatchTally, MemberTally } from './domain/rollout-view.js';

/** Notes which storage nodes have to hold what: containers never change their storage node. */
export async function noteNeeds(manager: EntityManager, rolloutId: string): Promise<void> {
  await manager.query(
    `UPDATE rollouts SET needs = (SELECT coalesce(json_agg(need), '[]') FROM (
       SELECT DISTINCT c.config->>'storageNode' AS "storageNode", m.to_image AS image
         FROM rollout_members m JOIN containers c ON c.id = m.container_id
        WHERE m.rollout_id = $1 AND m.phase = 'pending') need) WHERE id = $1`,
    [rolloutId],
  );
}

const PHASES = ['pending', 'switching', 'updated', 'failed', 'skipped', 'restoring', 'restored'] as const;

export async function tallyMembers(manager: EntityManager, rolloutId: string): Promise<MemberTally> {
  return (await tallyMembersOf(manager, [rolloutId]))(rolloutId);
}

/** Reads the numbers of any number of rollouts, which are kept. */
export async function tallyMembersOf(
  manager: EntityManager,
  rolloutIds: readonly string[],
): Promise<(rolloutId: string) => MemberTally> {
  const keys = rolloutIds.flatMap((id) => ['unassigned', ...PHASES].map((phase) => `${id}/${phase}`));
  const kept = await keptCounts(manager, 'rollout', keys);
  const last: { id: string; batch: number | null }[] = await manager.query(
    `SELECT id, (SELECT max(batch) FROM rollout_members WHERE rollout_id = id AND batch IS NOT NULL) AS batch
       FROM unnest($1::text[]) AS id`,
    [rolloutIds],
  );
  const batches = new Map(last.map(({ id, batch }) => [id, batch]));
  return (id) => {
    const of = (phase: string): number => kept.get(`${id}/${phase}`)?.n ?? 0;
    const unassigned = of('unassigned');
    const phases = {
      pending: of('pending') + unassigned,
      switching: of('switching'),
      updated: of('updated'),
      failed: of('failed'),
      skipped: of('skipped'),
      restoring: of('restoring'),
      restored: of('restored'),
    };
    const total = Object.values(phases).reduce((sum, count) => sum + count, 0);
    return { counts: { total, ...phases }, unassigned, batch: batches.get(id) ?? -1 };
  };
}

export async function tallyBatch(manager: EntityManager, rolloutId: string, batch: number): Promise<BatchTally> {
  const rows: BatchTally[] = await manager.query(
    `SELECT count(*)::int AS size, (count(*) FILTER (WHERE phase = 'updated'))::int AS updated,
            (count(*) FILTER (WHERE phase = 'failed'))::int AS failed
       FROM rollout_members WHERE rollout_id = $1 AND batch = $2`,
    [rolloutId, batch],
  );
  return rows[0] ?? { size: 0, updated: 0, failed: 0 };
}

export interface MemberChange {
  readonly ordinal: number;
  readonly phase: MemberPhase;
  readonly reason?: string;
  readonly message?: string;
  readonly updateId?: string;
  readonly restoreGeneration?: number;
}

/** @param changes each member once */
export async function changeMembers(
  manager: EntityManager,
  rolloutId: string,
  changes: readonly MemberChange[],
): Promise<void> {
  if (changes.length === 0) return;
  await manager.query(
    `UPDATE rollout_members m SET phase = x.phase, reason = x.reason, message = x.message,
       update_id = coalesce(x.update_id, m.update_id),
       restore_generation = coalesce(x.restore_generation, m.restore_generation), changed_at = now()
       FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[])
         AS x(ordinal, phase, reason, message, update_id, restore_generation)
      WHERE m.rollout_id = $1 AND m.ordinal = x.ordinal`,
    [
      rolloutId,
      changes.map(({ ordinal }) => ordinal),
      changes.map(({ phase }) => phase),
      changes.map(({ reason }) => reason ?? null),
      changes.map(({ message }) => message ?? null),
      changes.map(({ updateId }) => updateId ?? null),
      changes.map(({ restoreGeneration }) => restoreGeneration ?? null),
    ],
  );
}

/** As {@link changeMembers}, for what nobody has judged: a verdict of a host that has come since they were read stands. */
export async function settleMembers(
  manager: EntityManager,
  rolloutId: string,
  settled: readonly (MemberChange & { readonly reason: string; readonly message: string })[],
): Promise<void> {
  if (settled.length === 0) return;
  await manager.query(
    `UPDATE rollout_members m SET phase = x.phase, reason = x.reason, message = x.message, changed_at = now()
       FROM unnest($2::int[], $3::text[], $4::text[], $5::text[]) AS x(ordinal, phase, reason, message)
      WHERE m.rollout_id = $1 AND m.ordinal = x.ordinal AND m.phase IN ('pending', 'switching', 'restoring')`,
    [
      rolloutId,
      settled.map(({ ordinal }) => ordinal),
      settled.map(({ phase }) => phase),
      settled.map(({ reason }) => reason),
      settled.map(({ message }) => message),
    ],
  );
}

/** @param batch null: they leave their batch */
export async function assignBatch(
  manager: EntityManager,
  rolloutId: string,
  ordinals: readonly number[],
  batch: number | null,
): Promise<void> {
  await manager.query('UPDATE rollout_members SET batch = $3 WHERE rollout_id = $1 AND ordinal = ANY($2::int[])', [
    rolloutId,
    ordinals,
    batch,
  ]);
}

/** Hosts' verdicts on updates, for the members of rollouts that have them. @returns whether a rollout has one of them */
export async function judgeMembers(manager: EntityManager, verdicts: readonly UpdateVerdict[]): Promise<boolean> {
  if (verdicts.length === 0) return false;
  const [rows]: [unknown[], number] = await manager.query(
    `UPDATE rollout_members m SET phase = v.phase, reason = v.reason, message = v.message, changed_at = now()
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS v(update_id, phase, reason, message)
      WHERE m.update_id = v.update_id AND (m.phase = 'switching'
        OR (m.phase IN ('failed', 'skipped') AND m.reason IN ('deadline', 'host-lost'))) RETURNING 1`,
    [
      verdicts.map(({ updateId }) => updateId),
      verdicts.map(({ phase }) => phase),
      verdicts.map(({ reason }) => reason),
      verdicts.map(({ message }) => message),
    ],
  );
  if (rows.length > 0) return true;
  // The end of a revert changes no phase, but the rollout may be waiting for it.
  const known: unknown[] = await manager.query(
    'SELECT 1 FROM rollout_members WHERE update_id = ANY($1::text[]) LIMIT 1',
    [verdicts.map(({ updateId }) => updateId)],
  );
  return known.length > 0;
}

/** A container that runs by a config of this generation. */
export interface StartedMember {
  readonly containerId: string;
  readonly generation: number;
}

/** The members that these configs restore are restored. @returns whether there were any */
export async function membersStarted(manager: EntityManager, started: readonly StartedMember[]): Promise<boolean> {
  if (started.length === 0) return false;
  const [rows]: [unknown[], number] = await manager.query(
    `UPDATE rollout_members m SET phase = 'restored', reason = NULL, message = NULL, changed_at = now()
       FROM unnest($1::text[], $2::int[]) AS s(container_id, generation)
      WHERE m.container_id = s.container_id AND m.restore_generation <= s.generation AND (m.phase = 'restoring'
        OR (m.phase IN ('failed', 'skipped') AND m.reason IN ('deadline', 'host-lost'))) RETURNING 1`,
    [started.map(({ containerId }) => containerId), started.map(({ generation }) => generation)],
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
