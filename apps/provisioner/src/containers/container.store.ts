/** Rows of containers: insert, lock, change. */
import type {
  ContainerConfig,
  ContainerHistoryEntry,
  ContainerState,
  FailedCheck,
  HealthState,
  PlacementRecord,
  ReachedLimit,
  UpdateStatus,
} from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { packed } from '../placement/domain/placement-record.js';
import type { ContainerRecord, Move } from './domain/container-record.js';

export interface ContainerRow {
  id: string;
  ordinal: string;
  state: ContainerState;
  config: ContainerConfig;
  pid: number | null;
  restarts: number;
  exit_code: number | null;
  message: string | null;
  report_sequence: string;
  requested_at: Date;
  started_at: Date | null;
  known_good: string[];
  update: UpdateStatus | null;
  running_image: string | null;
  moving: Move | null;
  health: HealthState | null;
  failed_checks: FailedCheck[];
  limits_reached: ReachedLimit[];
  addresses: string[] | null;
}

export const CONTAINER_COLUMNS =
  'id, ordinal, state, config, pid, restarts, exit_code, message, report_sequence, requested_at, started_at, ' +
  'known_good, update, running_image, moving, health, failed_checks, limits_reached, addresses';

export function recordOf(row: ContainerRow): ContainerRecord {
  return {
    id: row.id,
    state: row.state,
    config: row.config,
    pid: row.pid,
    restarts: row.restarts,
    exitCode: row.exit_code,
    message: row.message,
    reportSequence: Number(row.report_sequence),
    requestedAt: row.requested_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    knownGood: row.known_good,
    update: row.update,
    runningImage: row.running_image,
    moving: row.moving,
    health: row.health,
    failedChecks: row.failed_checks,
    limitsReached: row.limits_reached,
    addresses: row.addresses,
  };
}

/** @returns false when the tenant has a container of that name */
export async function insertContainer(
  manager: EntityManager,
  record: ContainerRecord,
  requestId: string,
  requestDigest: string,
  placement: PlacementRecord,
): Promise<boolean> {
  const { config } = record;
  const rows: unknown[] = await manager.query(
    `WITH made AS (
       INSERT INTO containers (id, tenant, name, request_id, request_digest, state, host, memory_bytes, cpus, config,
         requested_at, placement)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
       ON CONFLICT (tenant, name) WHERE state <> 'removed' DO NOTHING RETURNING id)
     INSERT INTO container_history (container_id, at, kind, generation) SELECT id, now(), 'configured', 1 FROM made
       RETURNING container_id`,
    [
      record.id,
      config.tenant,
      config.name,
      requestId,
      requestDigest,
      record.state,
      config.host,
      config.limits.memoryBytes,
      config.limits.cpus,
      JSON.stringify(config),
      record.requestedAt,
      JSON.stringify(packed(placement)),
    ],
  );
  return rows.length === 1;
}

export async function findRequest(
  manager: EntityManager,
  requestId: string,
): Promise<{ id: string; digest: string } | undefined> {
  const rows: { id: string; digest: string }[] = await manager.query(
    'SELECT id, request_digest AS digest FROM containers WHERE request_id = $1',
    [requestId],
  );
  return rows[0];
}

/** Locks the row until the transaction ends. */
export async function lockContainer(manager: EntityManager, id: string): Promise<ContainerRecord | undefined> {
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE id = $1 FOR UPDATE`,
    [id],
  );
  return rows[0] && recordOf(rows[0]);
}

export async function lockContainerByName(
  manager: EntityManager,
  tenant: string,
  name: string,
): Promise<ContainerRecord | undefined> {
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE tenant = $1 AND name = $2 AND state <> 'removed' FOR UPDATE`,
    [tenant, name],
  );
  return rows[0] && recordOf(rows[0]);
}

/** Every container that is not removed, oldest first, its row locked. */
export async function lockPresent(manager: EntityManager): Promise<ContainerRecord[]> {
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE state <> 'removed' ORDER BY ordinal FOR UPDATE`,
  );
  return rows.map(recordOf);
}

/** The bus may have a status of any container. */
export async function expectStatuses(manager: EntityManager): Promise<void> {
  await manager.query(`UPDATE containers SET status_kept = true WHERE removed_at IS NOT NULL AND NOT status_kept`);
}

/** Why the container is to be on its next host. */
export async function savePlacement(manager: EntityManager, id: string, placement: PlacementRecord): Promise<void> {
  await manager.query('UPDATE containers SET placement = $2 WHERE id = $1', [id, JSON.stringify(packed(placement))]);
}

export async function saveMessage(manager: EntityManager, id: string, message: string): Promise<void> {
  await manager.query('UPDATE containers SET message = $2 WHERE id = $1', [id, message]);
}

/**
 * Whether a host has no more to do with a container: it is on another host or on none, and the host needs no further
 * config for it.
 */
export async function isGoneFrom(manager: EntityManager, id: string, host: string): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `SELECT 1 FROM containers WHERE id = $1 AND host = $2 AND state <> 'removed'
       AND (moving->>'released')::boolean IS NOT TRUE
     UNION ALL SELECT 1 FROM given_up WHERE container_id = $1 AND host = $2`,
    [id, host],
  );
  return rows.length === 0;
}

export async function saveContainer(
  manager: EntityManager,
  record: ContainerRecord,
  entry: Omit<ContainerHistoryEntry, 'at'> & { readonly at: string },
): Promise<void> {
  await manager.query(
    `WITH saved AS (
       UPDATE containers SET state = $2, config = $3, pid = $4, restarts = $5, exit_code = $6, message = $7,
         report_sequence = $8, started_at = $9, known_good = $14, update = $15, running_image = $16, moving = $17,
         host = $18, health = $19, failed_checks = $20, limits_reached = $21, addresses = $22,
         state_before_lost = NULL, changed_at = now(),
         removed_at = CASE WHEN $2 = 'removed' THEN coalesce(removed_at, now()) END
        WHERE id = $1 RETURNING id)
     INSERT INTO container_history (container_id, at, kind, generation, message) SELECT id, $10, $11, $12, $13
       FROM saved`,
    [
      record.id,
      record.state,
      JSON.stringify(record.config),
      record.pid,
      record.restarts,
      record.exitCode,
      record.message,
      record.reportSequence,
      record.startedAt,
      entry.at,
      entry.kind,
      entry.generation,
      entry.message,
      record.knownGood,
      record.update === null ? null : JSON.stringify(record.update),
      record.runningImage,
      record.moving === null ? null : JSON.stringify(record.moving),
      record.config.host,
      record.health,
      JSON.stringify(record.failedChecks),
      JSON.stringify(record.limitsReached),
      record.addresses === null ? null : JSON.stringify(record.addresses),
    ],
  );
}
