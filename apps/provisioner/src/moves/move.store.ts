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
  const locks: { locked: boolean }[] = await manager.query(
    `SELECT pg_try_advisory_xact_lock(hashtext('drain ' || $1::text)) AS locked`,
    [host],
  );
  if (!locks[0]?.locked) return undefined;
  // In a statement of its own: it has what was written under the lock before.
  const rows: { drain: Drain | null }[] = await manager.query('SELECT drain FROM hosts WHERE host = $1', [host]);
  return rows[0]?.drain ?? undefined;
}

/** What a decision changes of a drain; others count its containers meanwhile. @returns false: it was ended, or begun again */
export async function saveDrain(
  manager: EntityManager,
  host: string,
  { causationId }: Drain,
  change: Partial<Drain>,
): Promise<boolean> {
  const [, count]: [unknown, number] = await manager.query(
    `UPDATE hosts SET drain = drain || $3::jsonb WHERE host = $1 AND drain->>'causationId' = $2`,
    [host, causationId, JSON.stringify(change)],
  );
  return count === 1;
}

/** @returns the drain as it was at its end; undefined: it was ended, or begun again, before */
export async function endDrain(
  manager: EntityManager,
  host: string,
  { causationId }: Drain,
): Promise<Drain | undefined> {
  const [rows]: [{ before: Drain }[], number] = await manager.query(
    `UPDATE hosts SET drain = NULL
       FROM (SELECT drain AS before FROM hosts WHERE host = $1 FOR UPDATE) last
      WHERE host = $1 AND before->>'causationId' = $2 RETURNING before`,
    [host, causationId],
  );
  return rows[0]?.before;
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

/** A container, and its place in the order in which they were made. */
export interface Due {
  readonly id: string;
  readonly ordinal: string;
}

/**
 * Containers of lost hosts whose lease on the volume may have run out, also those to be removed, and those that were
 * released and found no host; those after the given one.
 */
export async function containersToRelocate(
  manager: EntityManager,
  lostSeconds: number,
  after: string,
  limit: number,
): Promise<readonly Due[]> {
  return manager.query(
    `SELECT id, ordinal FROM (
       SELECT id, ordinal FROM containers
        WHERE moving IS NOT NULL AND (moving->>'released')::boolean AND state <> 'removed'
       UNION SELECT c.id, c.ordinal FROM hosts h JOIN containers c ON c.host = h.host
         JOIN leases l ON l.node = c.config->>'storageNode' AND l.host = c.host
         JOIN storage_nodes s ON s.node = l.node
        WHERE h.state = 'lost' AND c.state <> 'removed' AND l.unrenewed_ms >= l.ttl_seconds * 1000
          AND s.last_seen_at > now() - make_interval(secs => $1)) due
      WHERE ordinal > $2::bigint ORDER BY ordinal LIMIT $3`,
    [lostSeconds, after, limit],
  );
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

/** Of several hosts, by name. */
export async function hostStandings(
  manager: EntityManager,
  hosts: readonly string[],
): Promise<ReadonlyMap<string, HostStanding>> {
  const rows: (HostStanding & { readonly host: string })[] = await manager.query(
    'SELECT host, state, datacenter, cordoned FROM hosts WHERE host = ANY($1::text[])',
    [hosts],
  );
  return new Map(rows.map((row) => [row.host, row]));
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

interface LeaseRow {
  readonly node: string;
  readonly host: string;
  readonly renewal: string;
  readonly ttl_seconds: number;
  readonly unrenewed_ms: string;
}

export async function leaseOf(
  manager: EntityManager,
  storageNode: string,
  host: string,
): Promise<KnownLease | undefined> {
  return (await leasesOf(manager, [{ storageNode, host }]))(storageNode, host);
}

/** Leases of several hosts. */
export async function leasesOf(
  manager: EntityManager,
  held: readonly { readonly storageNode: string; readonly host: string }[],
): Promise<(storageNode: string, host: string) => KnownLease | undefined> {
  const rows: LeaseRow[] = await manager.query(
    `SELECT DISTINCT l.* FROM unnest($1::text[], $2::text[]) AS h(node, host) JOIN leases l USING (node, host)`,
    [held.map(({ storageNode }) => storageNode), held.map(({ host }) => host)],
  );
  return (storageNode, host) => {
    const row = rows.find((one) => one.node === storageNode && one.host === host);
    return row && { renewal: row.renewal, ttlSeconds: row.ttl_seconds, unrenewedMs: Number(row.unrenewed_ms) };
  };
}
