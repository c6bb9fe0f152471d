/** Rows of many containers, each read and written in one statement. */
import type { ContainerHistoryEntry, PlacementRecord } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from './container.store.js';
import { packed } from '../placement/domain/placement-record.js';
import type { ContainerRecord } from './domain/container-record.js';

/** Locks the rows until the transaction ends, in the order of ids, as all do who lock several. */
export async function lockContainers(
  manager: EntityManager,
  ids: readonly string[],
  busy: 'wait' | 'pass over' = 'wait',
): Promise<ReadonlyMap<string, ContainerRecord>> {
  if (ids.length === 0) return new Map();
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE id = ANY($1::text[]) ORDER BY id
       FOR UPDATE ${busy === 'wait' ? '' : 'SKIP LOCKED'}`,
    [ids],
  );
  return new Map(rows.map((row) => [row.id, recordOf(row)]));
}

export interface SavedContainer {
  readonly record: ContainerRecord;
  readonly entry: Omit<ContainerHistoryEntry, 'at'> & { readonly at: string };
}

/** As `saveContainer` for many, each once, under the locks of their rows. */
export async function saveContainers(manager: EntityManager, saved: readonly SavedContainer[]): Promise<void> {
  if (saved.length === 0) return;
  await manager.query(
    `WITH given AS MATERIALIZED (
       SELECT * FROM json_to_recordset($1::json) AS g(id text, state text, config jsonb, pid integer, restarts integer,
         exit_code integer, message text, report_sequence bigint, started_at timestamptz, known_good text[],
         update jsonb, running_image text, moving jsonb, host text, health text, failed_checks jsonb,
         limits_reached jsonb, addresses jsonb, at timestamptz, kind text, generation integer, note text)),
     changed AS (
       UPDATE containers c SET state = g.state, config = g.config, pid = g.pid, restarts = g.restarts,
         exit_code = g.exit_code, message = g.message, report_sequence = g.report_sequence, started_at = g.started_at,
         known_good = g.known_good, update = g.update, running_image = g.running_image, moving = g.moving,
         host = g.host, health = g.health, failed_checks = g.failed_checks, limits_reached = g.limits_reached,
         addresses = g.addresses, state_before_lost = NULL, changed_at = now(),
         removed_at = CASE WHEN g.state = 'removed' THEN coalesce(c.removed_at, now()) END
         FROM given g WHERE c.id = g.id)
     INSERT INTO container_history (container_id, at, kind, generation, message)
       SELECT id, at, kind, generation, note FROM given`,
    [JSON.stringify(saved.map(rowOf))],
  );
}

/** As `savePlacement` for many. */
export async function savePlacements(
  manager: EntityManager,
  placed: readonly { readonly id: string; readonly placement: PlacementRecord }[],
): Promise<void> {
  if (placed.length === 0) return;
  await manager.query(
    `UPDATE containers c SET placement = p.placement::json FROM unnest($1::text[], $2::text[]) AS p(id, placement)
      WHERE c.id = p.id`,
    [placed.map(({ id }) => id), placed.map(({ placement }) => JSON.stringify(packed(placement)))],
  );
}

function rowOf({ record, entry }: SavedContainer): object {
  return {
    id: record.id,
    state: record.state,
    config: record.config,
    pid: record.pid,
    restarts: record.restarts,
    exit_code: record.exitCode,
    message: record.message,
    report_sequence: record.reportSequence,
    started_at: record.startedAt,
    known_good: record.knownGood,
    update: record.update,
    running_image: record.runningImage,
    moving: record.moving,
    host: record.config.host,
    health: record.health,
    failed_checks: record.failedChecks,
    limits_reached: record.limitsReached,
    addresses: record.addresses,
    at: entry.at,
    kind: entry.kind,
    generation: entry.generation,
    note: entry.message,
  };
}
