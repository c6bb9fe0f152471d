/** Drains, lost hosts, and containers that are moving between hosts. */
import type { EntityManager } from 'typeorm';
import type { KnownLease } from './domain/relocation.js';

export interface Drain {
  readonly parallel: number;
  readonly moved: number;
  readonly waiting: string | null;
  /** Ids of containers that were asked to leave; each is listed until it runs on its new host. */
  readonly inHand: readonly string[];
  readonly correlationId: string;
  readonly causationId: string;
}

/** @returns false when there is no such host */
export async function setScheduling(
  manager: EntityManager,
  host: string,
  cordoned: boolean,
  drain: Drain | null,
): Promise<boolean> {
  const [, count]: [unknown, number] = await manager.query(
    'UPDATE hosts SET cordoned = $2, drain = $3 WHERE host = $1',
    [host, cordoned, drain && JSON.stringify(drain)],
  );
  return count === 1;
}

export async function drains(manager: EntityManager): Promise<{ host: string; drain: Drain }[]> {
  const rows: { host: string; drain: Drain }[] = await manager.query(
    `SELECT host, drain FROM hosts WHERE drain IS NOT NULL AND state <> 'lost' ORDER BY host`,
  );
  return rows;
}

/**
 * Until the transaction ends no other provisioner drains the host; its row stays free for placements.
 * @returns undefined when another one does, or the host is not (or no longer) drained
 */
export async function lockDrain(manager: EntityManager, host: string): Promise<Drain | undefined> {
  const rows: { drain: Drain | null }[] = await manager.query(
    `SELECT CASE WHEN pg_try_advisory_xact_lock(hashtext('drain ' || host)) THEN drain END AS drain FROM hosts
       WHERE host = $1`,
    [host],
  );
  return rows[0]?.drain ?? undefined;
}

export async function saveDrain(manager: EntityManager, host: string, drain: Drain | null): Promise<void> {
  await manager.query('UPDATE hosts SET drain = $2 WHERE host = $1', [host, drain && JSON.stringify(drain)]);
}

export async function countMoved(manager: EntityManager, host: string): Promise<void> {
  await manager.query(
    `UPDATE hosts SET drain = jsonb_set(drain, '{moved}', to_jsonb((drain->>'moved')::int + 1)) WHERE host = $1
       AND drain IS NOT NULL`,
    [host],
  );
}

/**
 * Containers of a host: those that can be asked to leave, oldest first, how many there are, and which of those asked
 * are still moving.
 */
export async function containersLeaving(
  manager: EntityManager,
  host: string,
  asked: readonly string[],
): Promise<{ left: number; inProgress: readonly string[]; next: readonly string[] }> {
  const rows: { left: number; inProgress: string[]; next: string[] }[] = await manager.query(
    `SELECT count(*)::int AS left,
            (SELECT coalesce(array_agg(a.id), '{}') FROM containers a WHERE a.id = ANY($2)
              AND (a.moving IS NOT NULL OR a.state IN ('scheduled', 'starting'))) AS "inProgress",
            coalesce(array_agg(id ORDER BY ordinal) FILTER (WHERE moving IS NULL AND state <> 'lost'
              AND config->>'desired' IN ('running', 'stopped')
              AND coalesce(update->>'state', '') NOT IN ('switching', 'reverting')), '{}') AS next
       FROM containers WHERE host = $1 AND state <> 'removed'`,
    [host, asked],
  );
  return rows[0] ?? { left: 0, inProgress: [], next: [] };
}

/**
 * Containers of lost hosts whose lease on the volume may have run out, also those to be removed, and those that were
 * released and found no host.
 */
export async function containersToRelocate(
  manager: EntityManager,
  lostSeconds: number,
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await manager.query(
    `SELECT c.id FROM containers c
       LEFT JOIN hosts h ON h.host = c.host
       LEFT JOIN leases l ON l.node = c.config->>'storageNode' AND l.host = c.host
       LEFT JOIN storage_nodes s ON s.node = l.node
      WHERE c.state <> 'removed'
        AND ((c.moving->>'released')::boolean IS TRUE
          OR (h.state = 'lost' AND l.unrenewed_ms >= l.ttl_seconds * 1000
            AND s.last_seen_at > now() - make_interval(secs => $1)))
      ORDER BY c.changed_at LIMIT $2`,
    [lostSeconds, limit],
  );
  return rows.map(({ id }) => id);
}

export interface HostStanding {
  readonly state: 'ready' | 'suspect' | 'lost';
  readonly datacenter: string;
  readonly cordoned: boolean;
}

export async function hostStanding(manager: EntityManager, host: string): Promise<HostStanding | undefined> {
  const rows: HostStanding[] = await manager.query('SELECT state, datacenter, cordoned FROM hosts WHERE host = $1', [
    host,
  ]);
  return rows[0];
}

/** A ready host other than the given one. */
export async function hostThatReaches(
  manager: EntityManager,
  storageNode: string,
  except: string,
): Promise<string | undefined> {
  const rows: { host: string }[] = await manager.query(
    `SELECT host FROM hosts WHERE state = 'ready' AND $1 = ANY(storage_nodes) AND host <> $2
       ORDER BY allocated_containers LIMIT 1`,
    [storageNode, except],
  );
  return rows[0]?.host;
}

export async function leaseOf(
  manager: EntityManager,
  storageNode: string,
  host: string,
): Promise<KnownLease | undefined> {
  const rows: { renewal: string; ttl_seconds: number; unrenewed_ms: string }[] = await manager.query(
    'SELECT renewal, ttl_seconds, unrenewed_ms FROM leases WHERE node = $1 AND host = $2',
    [storageNode, host],
  );
  const row = rows[0];
  return row && { renewal: row.renewal, ttlSeconds: row.ttl_seconds, unrenewedMs: Number(row.unrenewed_ms) };
}
