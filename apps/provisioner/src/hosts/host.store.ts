/** Stores heartbeats, and marks hosts and storage nodes that are lost. */
import type { ContainerState, StorageHeartbeat } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { type Before, effectOf, type HeartbeatEffect } from './new-heartbeat.store.js';
import type { ContainerRecord } from '../containers/domain/container-record.js';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from '../containers/container.store.js';

/**
 * The state before is read under the lock of the row: a transaction that marks it as lost at the same moment comes
 * either before, and then the heartbeat is a recovery, or after.
 * @param update returns {@link Before} of the row that it changed
 * @param insert returns a row, unless another provisioner was faster
 */
async function updateOrInsert(
  manager: EntityManager,
  update: string,
  insert: string,
  values: readonly unknown[],
): Promise<HeartbeatEffect> {
  for (;;) {
    const [rows]: [Before[], number] = await manager.query(update, [...values]);
    const [row] = rows;
    if (row) return effectOf(row);
    const inserted: unknown[] = await manager.query(insert, [...values]);
    if (inserted.length > 0) return 'joined';
  }
}

/** A host or storage node that is not lost. */
export interface NodeInUse {
  readonly name: string;
  readonly state: 'ready' | 'suspect';
  /** Counts its heartbeats. */
  readonly beats: string;
}

export interface SilentNode {
  readonly name: string;
  readonly lastSeenAt: string;
}

export async function hostsInUse(manager: EntityManager): Promise<NodeInUse[]> {
  // One row: to take ten thousand apart costs the driver more than they cost the database.
  const rows: { names: string[]; beats: number[]; suspect: string[] }[] = await manager.query(
    `SELECT coalesce(json_agg(host), '[]') AS names, coalesce(json_agg(beats), '[]') AS beats,
            coalesce(json_agg(host) FILTER (WHERE state = 'suspect'), '[]') AS suspect FROM hosts WHERE state <> 'lost'`,
  );
  const { names = [], beats = [], suspect = [] } = rows[0] ?? {};
  const suspected = new Set(suspect);
  return names.map((name, at) => ({
    name,
    state: suspected.has(name) ? 'suspect' : 'ready',
    beats: String(beats[at]),
  }));
}

export async function storageInUse(manager: EntityManager): Promise<NodeInUse[]> {
  const rows: NodeInUse[] = await manager.query(
    `SELECT node AS name, state, beats FROM storage_nodes WHERE state <> 'lost'`,
  );
  return rows;
}

/**
 * Each host is marked by one provisioner only, and not if it sent a heartbeat meanwhile.
 * @returns the hosts that were marked
 */
export async function markSilent(
  manager: EntityManager,
  hosts: readonly NodeInUse[],
  state: 'suspect' | 'lost',
): Promise<SilentNode[]> {
  if (hosts.length === 0) return [];
  const [rows]: [SilentRow[], number] = await manager.query(
    // Rows are locked in the order of names, as by all who lock several.
    `WITH locked AS MATERIALIZED (SELECT host FROM hosts WHERE host = ANY($1::text[]) ORDER BY host FOR UPDATE)
     UPDATE hosts SET state = $3 FROM unnest($1::text[], $2::bigint[]) AS silent(host, beats) JOIN locked USING (host)
      WHERE hosts.host = silent.host AND hosts.beats = silent.beats AND hosts.state <> $3 AND hosts.state <> 'lost'
      RETURNING hosts.host AS name, last_seen_at`,
    [hosts.map(({ name }) => name), hosts.map(({ beats }) => beats), state],
  );
  return rows.map(silentNode);
}

/** Marks storage nodes as {@link markSilent} marks hosts. */
export async function markStorageLost(manager: EntityManager, nodes: readonly NodeInUse[]): Promise<SilentNode[]> {
  if (nodes.length === 0) return [];
  const [rows]: [SilentRow[], number] = await manager.query(
    `UPDATE storage_nodes s SET state = 'lost' FROM unnest($1::text[], $2::bigint[]) AS silent(node, beats)
      WHERE s.node = silent.node AND s.beats = silent.beats AND s.state <> 'lost'
        RETURNING s.node AS name, s.last_seen_at`,
    [nodes.map(({ name }) => name), nodes.map(({ beats }) => beats)],
  );
  return rows.map(silentNode);
}

interface SilentRow {
  name: string;
  last_seen_at: Date;
}

function silentNode(row: SilentRow): SilentNode {
  return { name: row.name, lastSeenAt: row.last_seen_at.toISOString() };
}

/** @param live states that become `lost` */
export async function loseContainers(
  manager: EntityManager,
  hosts: readonly string[],
  live: readonly ContainerState[],
): Promise<ContainerRecord[]> {
  const [rows]: [ContainerRow[], number] = await manager.query(
    `UPDATE containers SET state_before_lost = state, state = 'lost',
       message = 'its host ' || host || ' is lost; it is started elsewhere when the lease on its volume has run out',
       changed_at = now() WHERE host = ANY($1::text[]) AND state = ANY($2) RETURNING ${CONTAINER_COLUMNS}`,
    [hosts, live],
  );
  return rows.map(recordOf);
}

/** Restores the states from before the loss; the agent's own reports correct them. */
export async function recoverContainers(manager: EntityManager, hosts: readonly string[]): Promise<ContainerRecord[]> {
  const [rows]: [ContainerRow[], number] = await manager.query(
    `UPDATE containers SET state = coalesce(state_before_lost, 'scheduled'), state_before_lost = NULL, message = NULL,
       changed_at = now()
      WHERE host = ANY($1::text[]) AND state = 'lost' RETURNING ${CONTAINER_COLUMNS}`,
    [hosts],
  );
  return rows.map(recordOf);
}

/** Seconds during which a master that the heartbeat does not list yet may still be newer than the list. */
const HEARTBEAT_LAG_SECONDS = 10;

/** @returns what the heartbeat changed */
export async function recordStorageHeartbeat(manager: EntityManager, beat: StorageHeartbeat): Promise<HeartbeatEffect> {
  const effect = await updateOrInsert(
    manager,
    `UPDATE storage_nodes SET state = 'ready', datacenter = $2, labels = $3, total_bytes = $4, free_bytes = $5, serves_at = $6, transfers = $7,
       last_seen_at = now(), beats = storage_nodes.beats + 1
     FROM (SELECT state, (datacenter, labels, total_bytes, serves_at, transfers)
               IS NOT DISTINCT FROM ($2::text, $3::jsonb, $4::bigint, $6::text, $7::jsonb) AS same
             FROM storage_nodes WHERE node = $1 FOR UPDATE) AS before
     WHERE storage_nodes.node = $1 RETURNING before.state AS before, before.same`,
    `INSERT INTO storage_nodes (node, datacenter, labels, total_bytes, free_bytes, serves_at, transfers, last_seen_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (node) DO NOTHING RETURNING node`,
    [
      ...[beat.node, beat.datacenter, JSON.stringify(beat.labels), beat.totalBytes, beat.freeBytes],
      ...[beat.servesAt ?? null, JSON.stringify(beat.transfers ?? [])],
    ],
  );
  await manager.query(
    // While a lease is renewed, how long ago and by what matters to nobody: its row is not even locked.
    `WITH reported AS MATERIALIZED (SELECT * FROM json_to_recordset($2::json)
       AS l(host text, renewal text, "ttlSeconds" integer, "unrenewedMs" bigint)),
     gone AS (DELETE FROM leases WHERE node = $1 AND host NOT IN (SELECT host FROM reported))
     INSERT INTO leases (node, host, renewal, ttl_seconds, unrenewed_ms)
       SELECT $1, r.host, r.renewal, r."ttlSeconds", r."unrenewedMs"
         FROM reported r LEFT JOIN leases l ON l.node = $1 AND l.host = r.host
        WHERE l.host IS NULL OR r."unrenewedMs" >= r."ttlSeconds" * 500 OR l.unrenewed_ms >= l.ttl_seconds * 500
           OR l.ttl_seconds <> r."ttlSeconds"
     ON CONFLICT (node, host) DO UPDATE SET renewal = excluded.renewal, ttl_seconds = excluded.ttl_seconds,
       unrenewed_ms = excluded.unrenewed_ms`,
    [beat.node, JSON.stringify(beat.leases ?? [])],
  );
  if (beat.tenants) {
    await manager.query(
      `WITH reported AS (SELECT tenant, max(bytes) AS bytes
         FROM json_to_recordset($2::json) AS t(tenant text, bytes bigint) GROUP BY tenant),
       gone AS (DELETE FROM tenant_disk WHERE node = $1 AND tenant NOT IN (SELECT tenant FROM reported))
       INSERT INTO tenant_disk (node, tenant, bytes) SELECT $1, tenant, bytes FROM reported
         ON CONFLICT (node, tenant) DO UPDATE SET bytes = excluded.bytes`,
      [beat.node, JSON.stringify(beat.tenants)],
    );
  }
  const listed = JSON.stringify(
    beat.images.map(({ name, version, contentDigest }) => ({ name, version, content_digest: contentDigest })),
  );
  await manager.query(
    `INSERT INTO masters (name, version, node, content_digest)
     SELECT i.name, i.version, $1, i.content_digest
       FROM json_to_recordset($2::json) AS i(name text, version text, content_digest text)
     ON CONFLICT (name, version, node) DO UPDATE SET content_digest = excluded.content_digest
       WHERE masters.content_digest <> excluded.content_digest`,
    [beat.node, listed],
  );
  await manager.query(
    `DELETE FROM masters m WHERE m.node = $1 AND m.seen_at < now() - interval '${HEARTBEAT_LAG_SECONDS} seconds'
       AND NOT EXISTS (SELECT 1 FROM json_to_recordset($2::json) AS i(name text, version text)
         WHERE i.name = m.name AND i.version = m.version)`,
    [beat.node, listed],
  );
  return effect;
}
