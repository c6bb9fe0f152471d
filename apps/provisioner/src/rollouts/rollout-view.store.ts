/** What the planner of a rollout needs: its numbers, and the members that may get a step now, never all of them. */
import type { EntityManager } from 'typeorm';
import { batchSize, budgetsOf, InProgress } from './domain/rollout-budgets.js';
import { patienceOf } from './domain/rollout-settlement.js';
import { stagedUntilMs } from './domain/rollout-staging.js';
import {
  openMembers,
  type MemberTally,
  type HostLack,
  type PlannedMember,
  type RolloutView,
  type StagedHosts,
} from './domain/rollout-view.js';
import { tallyBatch, tallyMembers } from './member.store.js';
import type { RolloutNeed, RolloutRow } from './rollout.store.js';

/** Members that one decision switches, restores or passes over. */
const WINDOW = 500;

type Row = RolloutRow & { readonly now: Date };

/** @param alsoDue false: nothing that time alone settles is looked for */
export async function loadRolloutView(manager: EntityManager, row: Row, alsoDue = true): Promise<RolloutView> {
  const tally = await tallyMembers(manager, row.id);
  const isPlanned = row.state === 'rolling' || row.state === 'reverting';
  const isBetween = row.state === 'rolling' && tally.batch >= 0 && openMembers(tally) === 0;
  const toCome = row.state === 'rolling' && tally.counts.pending > tally.unassigned;
  const inProgress = toCome || row.state === 'reverting' ? await updatesInProgress(manager) : [];
  const read = new MemberReading(manager, row, tally, inProgress);
  const members = [
    ...(alsoDue && tally.counts.switching + tally.counts.restoring > 0 ? await read.due() : []),
    ...(toCome ? await read.toCome() : []),
    ...(row.state === 'staging' && row.now.getTime() >= stagedUntilMs(stagingOf(row)) ? await read.notStaged() : []),
    ...(row.state === 'rolling' && openMembers(tally) === 0 ? await read.unassigned() : []),
    ...(isPlanned ? await read.unjudged() : []),
    ...(row.state === 'reverting' ? await read.toRestore() : []),
  ];
  const needs = row.state === 'staging' || row.state === 'rolling' ? await unmetNeeds(manager, row) : NOTHING_UNMET;
  return {
    request: row.request,
    state: row.state,
    pausedBecause: row.paused_because,
    approvedBatches: row.approved_batches,
    forgivenFailures: row.forgiven_failures,
    finishedBatch: row.finished_batch,
    changedAtMs: row.changed_at.getTime(),
    tally,
    batchTally: isBetween ? await tallyBatch(manager, row.id, tally.batch) : { size: 0, updated: 0, failed: 0 },
    lastChangeMs: row.state === 'rolling' ? await read.lastChangeMs() : 0,
    members: inOrder(members),
    inProgress,
    ...needs,
  };
}

function stagingOf(row: Row): Parameters<typeof stagedUntilMs>[0] {
  return { changedAtMs: row.changed_at.getTime(), request: row.request };
}

/** Each once, in the order in which the rollout takes them. */
function inOrder(members: readonly PlannedMember[]): readonly PlannedMember[] {
  const byOrdinal = new Map(members.map((member) => [member.ordinal, member]));
  return [...byOrdinal.values()].sort((a, b) => a.ordinal - b.ordinal);
}

interface MemberRow extends Omit<PlannedMember, 'changedAtMs'> {
  changedAtMs: string;
}

const LOST = `coalesce(h.state = 'lost', true)`;
const UPDATING = `(coalesce(c.update->>'state' IN ('switching', 'reverting'), false) OR c.moving IS NOT NULL)`;
const DESIRED = `coalesce(c.moving->>'desired', c.config->>'desired')`;
/** Of the member's image, on the container's storage node. */
const MASTER = `SELECT 1 FROM masters a JOIN image_versions v ON v.name = a.name AND v.version = a.version
    AND v.content_digest = a.content_digest
  WHERE a.node = c.config->>'storageNode' AND a.name = split_part(m.to_image, '@', 1)
    AND a.version = split_part(m.to_image, '@', 2)`;
const PENDING_IN_BATCH = `m.phase = 'pending' AND m.batch IS NOT NULL`;
const UNASSIGNED = `m.phase = 'pending' AND m.batch IS NULL`;

class MemberReading {
  private lastChange: Promise<number> | undefined;

  constructor(
    private readonly manager: EntityManager,
    private readonly row: Row,
    private readonly tally: MemberTally,
    private readonly inProgress: RolloutView['inProgress'],
  ) {}

  /** Those being switched or restored for which time, their host or a person may have settled it. */
  due(): Promise<PlannedMember[]> {
    const patience = patienceOf(this.row) / 1_000;
    return this.members(
      `m.phase IN ('switching', 'restoring') AND (c.state = 'removed' OR ${DESIRED} <> 'running' OR ${LOST}
         OR m.changed_at < now() - make_interval(secs => $2))`,
      [patience],
    );
  }

  /** Those of the batch that are not switched yet: first those that no budget holds back. */
  async toCome(): Promise<PlannedMember[]> {
    const limit = await this.window();
    const free = await this.members(`${PENDING_IN_BATCH} AND ${FREE}`, this.held(), limit);
    return free.length > 0 ? free : this.members(PENDING_IN_BATCH, [], limit);
  }

  /** Those from which the next batch is taken: when all are on lost hosts, these. */
  async unassigned(): Promise<PlannedMember[]> {
    if (this.tally.unassigned === 0) return [];
    const size = batchSize(this.row.request, this.tally);
    const reachable = await this.members(`${UNASSIGNED} AND NOT ${LOST}`, [], size);
    return reachable.length > 0 ? reachable : this.members(UNASSIGNED, [], await this.window());
  }

  /** Those whose host or storage node does not have their image. */
  notStaged(): Promise<PlannedMember[]> {
    return this.members(
      `m.phase = 'pending' AND NOT ${LOST} AND (CASE WHEN h.own_images IS NULL THEN NOT EXISTS (${MASTER})
         ELSE NOT m.to_image = ANY(h.own_images) END)`,
      [],
      WINDOW,
    );
  }

  /** Those that count as settled, with an update that still goes on. */
  unjudged(): Promise<PlannedMember[]> {
    if (this.tally.counts.skipped + this.tally.counts.failed === 0) return Promise.resolve([]);
    return this.members(
      `m.phase IN ('skipped', 'failed') AND m.container_id IN (
         SELECT id FROM containers WHERE update->>'state' IN ('switching', 'reverting')
         UNION ALL SELECT id FROM containers WHERE moving IS NOT NULL)`,
    );
  }

  /** Those that were switched and have to go back: first those that no budget holds back. */
  async toRestore(): Promise<PlannedMember[]> {
    const switched = `m.update_id IS NOT NULL AND m.phase IN ('updated', 'switching', 'skipped', 'failed')
       AND c.state <> 'removed' AND ${DESIRED} <> 'removed' AND (m.phase IN ('updated', 'switching')
         OR (c.config->>'image' = m.to_image AND (m.phase = 'skipped' OR m.reason = 'deadline')))`;
    const free = await this.members(`${switched} AND (${FREE} OR ${UPDATING} OR ${LOST})`, this.held(), WINDOW);
    return free.length > 0 ? free : this.members(switched, [], WINDOW);
  }

  lastChangeMs(): Promise<number> {
    this.lastChange ??= this.readLastChange();
    return this.lastChange;
  }

  private async readLastChange(): Promise<number> {
    const rows: { at: Date | null }[] = await this.manager.query(
      'SELECT max(changed_at) AS at FROM rollout_members WHERE rollout_id = $1',
      [this.row.id],
    );
    return rows[0]?.at?.getTime() ?? 0;
  }

  /** What has waited for too long is settled all at once: the first of it would begin the wait of the others again. */
  private async window(): Promise<number | null> {
    const last = Math.max(this.row.changed_at.getTime(), await this.lastChangeMs());
    return this.row.now.getTime() - last > patienceOf(this.row) ? null : WINDOW;
  }

  private held(): readonly [readonly string[], readonly string[]] {
    const budgets = budgetsOf(this.row.request, this.tally.counts.total);
    const { hosts, tenants } = new InProgress(this.inProgress).exhausted(budgets);
    return [hosts, tenants];
  }

  private async members(
    condition: string,
    values: readonly unknown[] = [],
    limit: number | null = null,
  ): Promise<PlannedMember[]> {
    const rows: MemberRow[] = await this.manager.query(
      `SELECT m.ordinal, m.container_id AS "containerId", c.tenant, c.host, ${LOST} AS "hostLost",
              c.config->>'storageNode' AS "storageNode", m.from_image AS "fromImage", m.to_image AS "toImage", m.phase,
              m.reason, m.batch, m.update_id IS NOT NULL AS switched,
              (extract(epoch FROM m.changed_at) * 1000)::bigint AS "changedAtMs", ${DESIRED} AS desired,
              c.state = 'removed' AS removed, c.config->>'image' AS image, ${UPDATING} AS updating
         FROM rollout_members m JOIN containers c ON c.id = m.container_id LEFT JOIN hosts h ON h.host = c.host
        WHERE m.rollout_id = $1 AND ${condition} ORDER BY m.ordinal ${limit === null ? '' : `LIMIT ${limit}`}`,
      [this.row.id, ...values],
    );
    return rows.map((member) => ({ ...member, changedAtMs: Number(member.changedAtMs) }));
  }
}

/** $2: hosts, $3: tenants that have reached their budgets. A container on a lost host waits for none. */
const FREE = `(${LOST} OR (c.host <> ALL($2::text[]) AND c.tenant <> ALL($3::text[])))`;

/** Of all rollouts and other requests; those on lost hosts count nowhere. */
async function updatesInProgress(manager: EntityManager): Promise<RolloutView['inProgress']> {
  return manager.query(
    `SELECT c.id AS "containerId", c.host, c.tenant FROM (
       SELECT id FROM containers WHERE update->>'state' IN ('switching', 'reverting')
       UNION SELECT container_id FROM rollout_members WHERE phase = 'restoring') going
       JOIN containers c ON c.id = going.id JOIN hosts h ON h.host = c.host AND h.state <> 'lost'
      WHERE c.state <> 'removed' AND c.config->>'desired' = 'running'`,
  );
}

type Unmet = Pick<RolloutView, 'unstaged' | 'ownStores' | 'withdrawn'>;
const NOTHING_UNMET: Unmet = { unstaged: [], ownStores: { hosts: 0, lacking: [] }, withdrawn: [] };

/** Needs of pending members that nothing meets: few pairs are checked, and only for those that fail a member is sought. */
async function unmetNeeds(manager: EntityManager, row: Row): Promise<Unmet> {
  const needs = row.needs ?? (await needsOf(manager, row.id));
  const images = [...new Set(needs.map(({ image }) => image))];
  const withdrawn: { image: string }[] = await manager.query(
    `SELECT image FROM unnest($2::text[]) AS image
      WHERE NOT EXISTS (SELECT 1 FROM image_versions v WHERE v.name = split_part(image, '@', 1)
          AND v.version = split_part(image, '@', 2) AND v.state = 'promoted')
        AND EXISTS (SELECT 1 FROM rollout_members m WHERE m.rollout_id = $1 AND m.phase = 'pending' AND m.to_image = image)`,
    [row.id, images],
  );
  const unstaged: RolloutNeed[] =
    row.state !== 'staging'
      ? []
      : await manager.query(
          `SELECT n.node AS "storageNode", n.image FROM unnest($2::text[], $3::text[]) AS n(node, image)
            WHERE NOT EXISTS (SELECT 1 FROM masters a JOIN image_versions v ON v.name = a.name AND v.version = a.version
                AND v.content_digest = a.content_digest
               WHERE a.node = n.node AND a.name = split_part(n.image, '@', 1) AND a.version = split_part(n.image, '@', 2))
              AND EXISTS (SELECT 1 FROM rollout_members m JOIN containers c ON c.id = m.container_id
                 LEFT JOIN hosts h ON h.host = c.host
               WHERE m.rollout_id = $1 AND m.phase = 'pending' AND m.to_image = n.image
                 AND c.config->>'storageNode' = n.node AND h.own_images IS NULL) ORDER BY 1, 2`,
          [row.id, needs.map(({ storageNode }) => storageNode), needs.map(({ image }) => image)],
        );
  const ownStores = row.state === 'staging' ? await stagedHosts(manager, row.id) : NOTHING_UNMET.ownStores;
  return { unstaged, ownStores, withdrawn: withdrawn.map(({ image }) => image).sort() };
}

/** A container that is not to run is passed over, so its host need not have the image. */
async function stagedHosts(manager: EntityManager, rolloutId: string): Promise<StagedHosts> {
  const rows: (HostLack & { readonly lacks: boolean })[] = await manager.query(
    `SELECT n.host, n.image, f.reason AS problem, NOT n.image = ANY(h.own_images) AS lacks
       FROM (SELECT DISTINCT c.host, m.to_image AS image FROM rollout_members m JOIN containers c ON c.id = m.container_id
              WHERE m.rollout_id = $1 AND m.phase = 'pending' AND c.state <> 'removed' AND ${DESIRED} = 'running') n
       JOIN hosts h ON h.host = n.host AND h.state <> 'lost' AND h.own_images IS NOT NULL
       LEFT JOIN host_image_failures f ON f.host = n.host AND f.image = n.image ORDER BY 2, 1`,
    [rolloutId],
  );
  const lacking = rows.flatMap(({ lacks, ...lack }) => (lacks ? [lack] : []));
  return { hosts: new Set(rows.map(({ host }) => host)).size, lacking };
}

/** Of a rollout whose row does not have them. */
function needsOf(manager: EntityManager, rolloutId: string): Promise<readonly RolloutNeed[]> {
  return manager.query(
    `SELECT DISTINCT c.config->>'storageNode' AS "storageNode", m.to_image AS image FROM rollout_members m
       JOIN containers c ON c.id = m.container_id WHERE m.rollout_id = $1 AND m.phase = 'pending'`,
    [rolloutId],
  );
}
