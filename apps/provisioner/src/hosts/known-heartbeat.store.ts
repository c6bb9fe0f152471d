/** Stores heartbeats that report nothing new, many in one statement. */
import type { HostHeartbeat } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { policiesRow } from '../network/tenant-egress.store.js';

/** A host that reports what it had reported. */
export interface KnownHost {
  readonly host: string;
  /** Counts what it has reported: a different number means that another provisioner has received something else since. */
  readonly report: string;
}

/** One that repeats a report that this process has seen in the row of its host. */
export interface RepeatedBeat {
  readonly beat: HostHeartbeat;
  /** {@link KnownHost.report} */
  readonly report: string;
}

/** What is stored need not survive a crash of the database: the next heartbeat has it too. */
const NOT_FLUSHED = `set_config('synchronous_commit', 'off', true) = 'off'`;

/**
 * Of one host, one heartbeat. Those whose rows others have locked, placements most of all, are written after the rest,
 * which is not held up, and holds up nobody.
 * @returns names of the hosts whose heartbeat is stored; of the others something is different
 */
export async function recordRepeatedHeartbeats(
  manager: EntityManager,
  repeated: readonly RepeatedBeat[],
): Promise<readonly string[]> {
  const first = await recordRepeated(manager, repeated, 'SKIP LOCKED');
  const stored = new Set(first);
  const rest = repeated.filter(({ beat }) => !stored.has(beat.host));
  return rest.length === 0 ? first : [...first, ...(await recordRepeated(manager, rest, ''))];
}

async function recordRepeated(
  manager: EntityManager,
  repeated: readonly RepeatedBeat[],
  waiting: 'SKIP LOCKED' | '',
): Promise<readonly string[]> {
  if (repeated.length === 0) return [];
  const beats = repeated.map(({ beat }) => beat);
  const rows: { stored: string[] }[] = await manager.query(
    // Rows are locked in the order of names, as by all who lock several.
    `WITH held AS MATERIALIZED (SELECT host FROM hosts WHERE host = ANY($1::text[]) AND state = 'ready' AND ${NOT_FLUSHED}
       ORDER BY host FOR UPDATE ${waiting}),
     updated AS (
       UPDATE hosts h SET load1 = b.load1, memory_used = b.memory_used, running = b.running, last_seen_at = now(),
         beats = h.beats + 1
         FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::bigint[], $5::int[])
           AS b(host, report, load1, memory_used, running) JOIN held USING (host)
        WHERE h.host = b.host AND h.report = b.report RETURNING h.host)
     SELECT coalesce(json_agg(host), '[]') AS stored FROM updated`,
    [
      beats.map(({ host }) => host),
      repeated.map(({ report }) => report),
      beats.map(({ load }) => load.load1),
      beats.map(({ load }) => Math.min(load.memoryUsedBytes, Number.MAX_SAFE_INTEGER)),
      beats.map(({ load }) => Math.min(load.containers, MOST_RUNNING)),
    ],
  );
  return rows[0]?.stored ?? [];
}

/** The column is an int. */
const MOST_RUNNING = 2 ** 31 - 1;

/**
 * Of one host, one heartbeat.
 * @returns the hosts whose heartbeat is stored; of the others it reports something new
 */
export async function recordKnownHeartbeats(
  manager: EntityManager,
  beats: readonly HostHeartbeat[],
): Promise<readonly KnownHost[]> {
  const [rows]: [KnownHost[], number] = await manager.query(
    // Rows are locked in the order of names, as by all who lock several.
    `WITH ${BEATS},
     held AS MATERIALIZED (
       SELECT h.host FROM hosts h JOIN beat b USING (host)
        WHERE h.state = 'ready' AND ${SAME}
          AND (b.tenant_policies IS NULL OR b.tenant_policies IS NOT DISTINCT FROM h.tenant_policies)
          AND ${NOT_FLUSHED}
        ORDER BY h.host FOR UPDATE OF h)
     UPDATE hosts SET incarnation = b.incarnation, load1 = b.load1, memory_used = b.memory_used, running = b.running,
       last_seen_at = now(), beats = hosts.beats + 1
       FROM beat b JOIN held USING (host) WHERE hosts.host = b.host RETURNING hosts.host, hosts.report`,
    [beatRows(beats)],
  );
  return rows;
}

/** $1 as a table. */
export const BEATS = `beat AS MATERIALIZED (
       SELECT * FROM json_to_recordset($1::json) AS b(host text, datacenter text, storage_nodes text[],
         incarnation text, capacity_memory bigint, capacity_cpus float8, capacity_containers integer, load1 float8,
         memory_used bigint, running integer, runtime text, network boolean, disk_limits text[], io_limits text[],
         missing_limits text[], address text, own_users text[], host_users text, cni_network text,
         labels jsonb, own_images text[], serves_at text, transfers jsonb, tenant_policies jsonb))`;

/** Whether a host `h` is as its heartbeat `b` reports it, beside its load. */
export const SAME = `(h.datacenter, h.storage_nodes, h.capacity_memory, h.capacity_cpus,
          h.capacity_containers, h.runtime, h.network, h.disk_limits, h.io_limits, h.missing_limits, h.address, h.own_users, h.host_users,
          h.cni_network, h.labels, h.own_images, h.serves_at, h.transfers) IS NOT DISTINCT FROM (b.datacenter, b.storage_nodes, b.capacity_memory, b.capacity_cpus,
          b.capacity_containers, b.runtime, b.network, b.disk_limits, b.io_limits, b.missing_limits, b.address, b.own_users,
          b.host_users, b.cni_network, b.labels, b.own_images, b.serves_at, b.transfers)`;

/** The value of $1. */
export function beatRows(beats: readonly HostHeartbeat[]): string {
  return JSON.stringify(beats.map(rowOf));
}

function rowOf(beat: HostHeartbeat): object {
  return {
    host: beat.host,
    datacenter: beat.datacenter,
    storage_nodes: beat.storageNodes,
    incarnation: beat.incarnation,
    capacity_memory: beat.capacity.memoryBytes,
    capacity_cpus: beat.capacity.cpus,
    capacity_containers: beat.capacity.containers,
    load1: beat.load.load1,
    memory_used: Math.min(beat.load.memoryUsedBytes, Number.MAX_SAFE_INTEGER),
    running: Math.min(beat.load.containers, MOST_RUNNING),
    runtime: beat.runtime,
    network: beat.network ?? false,
    disk_limits: beat.diskLimits ?? [],
    io_limits: beat.ioLimits ?? [],
    missing_limits: beat.missingLimits ?? [],
    address: beat.address ?? null,
    own_users: beat.ownUsers ?? null,
    host_users: beat.hostUsers ?? null,
    cni_network: beat.cniNetwork ?? null,
    labels: beat.labels ?? {},
    own_images: beat.images ? beat.images.toSorted() : null,
    serves_at: beat.servesAt ?? null,
    transfers: beat.transfers ?? [],
    tenant_policies: beat.tenantPolicies ? policiesRow(beat.tenantPolicies) : null,
  };
}
