/**
 * What hosts are sent about the containers of their tenants, and what changed since.
 *
 * A tenant is worked on by one provisioner at a time, under its lock: what is published later was read later. The
 * triggers that mark changes are in postgres/neighbour-migration.ts.
 */
import type { Neighbour } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { Audience } from './domain/neighbour-plan.js';
import { markAllPolicies } from './tenant-egress.store.js';

/** First key of the advisory locks on tenants, the second is the tenant's number; the same in every provisioner. */
const TENANT_LOCK = 7_403;

/** Tenants with changes that no host was sent, longest waiting first. */
export async function tenantsWithChanges(manager: EntityManager, limit: number): Promise<string[]> {
  const rows: { tenant: string }[] = await manager.query(
    `SELECT tenant FROM (SELECT tenant, ordinal FROM neighbour_changes ORDER BY ordinal LIMIT 10000) first
       GROUP BY tenant ORDER BY min(ordinal) LIMIT $1`,
    [limit],
  );
  return rows.map(({ tenant }) => tenant);
}

/** Until the transaction ends. @returns the number of the tenant; undefined: another provisioner works on it */
export async function lockTenant(manager: EntityManager, tenant: string): Promise<number | undefined> {
  const rows: { number: number; locked: boolean }[] = await manager.query(
    `SELECT number, pg_try_advisory_xact_lock(${TENANT_LOCK}, number) AS locked FROM tenant_numbers WHERE tenant = $1`,
    [tenant],
  );
  return rows[0]?.locked ? rows[0].number : undefined;
}

export async function isChanged(manager: EntityManager, tenant: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT 1 FROM neighbour_changes WHERE tenant = $1 LIMIT 1', [tenant]);
  return rows.length > 0;
}

export async function markParts(manager: EntityManager, tenant: string, shards: readonly number[]): Promise<void> {
  if (shards.length === 0) return;
  await manager.query(
    `INSERT INTO neighbour_changes (tenant, shard)
       SELECT $1, shard FROM unnest($2::smallint[]) WITH ORDINALITY AS s(shard, place) ORDER BY place`,
    [tenant, shards],
  );
}

/** @returns the parts that changed, longest waiting first; what changes later is marked again */
export async function takeChanges(manager: EntityManager, tenant: string): Promise<number[]> {
  const rows: { shard: number }[] = await manager.query(
    `WITH taken AS (DELETE FROM neighbour_changes WHERE tenant = $1 RETURNING shard, ordinal)
     SELECT shard FROM taken GROUP BY shard ORDER BY min(ordinal)`,
    [tenant],
  );
  return rows.map(({ shard }) => shard);
}

/** One look into an index for each host of the tenant, however many containers it has. */
export async function audienceOf(manager: EntityManager, tenant: string): Promise<Audience> {
  const rows: Audience[] = await manager.query(
    `WITH RECURSIVE serving AS (
       (SELECT host FROM containers WHERE tenant = $1 AND state <> 'removed' AND config ? 'address'
         ORDER BY host LIMIT 1)
       UNION ALL
       SELECT (SELECT c.host FROM containers c WHERE c.tenant = $1 AND c.host > s.host AND c.state <> 'removed'
                 AND c.config ? 'address' ORDER BY c.host LIMIT 1) FROM serving s WHERE s.host IS NOT NULL)
     SELECT (SELECT coalesce(array_agg(host), '{}') FROM serving WHERE host IS NOT NULL) AS serving,
            (SELECT coalesce(json_agg(json_build_object('host', host, 'ended', ended)), '[]') FROM neighbour_hosts
              WHERE tenant = $1) AS known`,
    [tenant],
  );
  return rows[0] ?? { serving: [], known: [] };
}

interface NeighbourRow extends Omit<Neighbour, 'hostAddress'> {
  shard: number;
  hostAddress: string | null;
}

/** By part. @param shards absent: all */
export async function neighboursIn(
  manager: EntityManager,
  tenant: string,
  shards?: readonly number[],
): Promise<ReadonlyMap<number, readonly Neighbour[]>> {
  const rows: NeighbourRow[] = await manager.query(
    `SELECT neighbour_shard(c.id) AS shard, c.id, c.name, c.host, h.address AS "hostAddress",
            c.config->'address'->>'ipv4' AS ipv4, c.config->'address'->>'ipv6' AS ipv6,
            neighbour_runs(c.state, c.config) AS running
       FROM containers c LEFT JOIN hosts h ON h.host = c.host
      WHERE c.tenant = $1 AND c.state <> 'removed' AND c.config ? 'address' AND h.cni_network IS NULL
        AND ($2::smallint[] IS NULL OR neighbour_shard(c.id) = ANY($2)) ORDER BY c.id`,
    [tenant, shards ?? null],
  );
  const found = new Map<number, Neighbour[]>();
  for (const { shard, hostAddress, ...row } of rows) {
    const listed = found.get(shard) ?? [];
    listed.push(hostAddress === null ? row : { ...row, hostAddress });
    found.set(shard, listed);
  }
  return found;
}

export async function saveAudience(
  manager: EntityManager,
  tenant: string,
  begin: readonly string[],
  end: readonly string[],
): Promise<void> {
  if (begin.length + end.length === 0) return;
  await manager.query(
    `INSERT INTO neighbour_hosts (tenant, host, ended)
       SELECT $1, host, ended FROM unnest($2::text[], $3::boolean[]) AS c(host, ended)
     ON CONFLICT (tenant, host) DO UPDATE SET ended = excluded.ended`,
    [tenant, [...begin, ...end], [...begin.map(() => false), ...end.map(() => true)]],
  );
}

export interface EndedHost {
  readonly tenant: string;
  readonly host: string;
}

/** Hosts that serve a tenant no more, whose values are still on the bus. */
export async function endedHosts(manager: EntityManager, limit: number): Promise<EndedHost[]> {
  const rows: EndedHost[] = await manager.query('SELECT tenant, host FROM neighbour_hosts WHERE ended LIMIT $1', [
    limit,
  ]);
  return rows;
}

/** Under the tenant's lock. */
export async function hasEnded(manager: EntityManager, { tenant, host }: EndedHost): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    'SELECT 1 FROM neighbour_hosts WHERE tenant = $1 AND host = $2 AND ended',
    [tenant, host],
  );
  return rows.length === 1;
}

export async function forgetHost(manager: EntityManager, { tenant, host }: EndedHost): Promise<void> {
  await manager.query('DELETE FROM neighbour_hosts WHERE tenant = $1 AND host = $2 AND ended', [tenant, host]);
}

/**
 * Everything is published again: the bus has lost it. What it is sent again of what it had before is removed for hosts
 * that do not serve the tenant any more.
 */
export async function markAllNeighbours(manager: EntityManager): Promise<void> {
  await manager.query(
    `INSERT INTO neighbour_changes (tenant, shard) SELECT DISTINCT tenant, neighbour_shard(id) FROM containers
       WHERE state <> 'removed' AND config ? 'address'`,
  );
  await manager.query(
    `INSERT INTO neighbour_hosts (tenant, host, ended)
       SELECT DISTINCT n.tenant, split_part(o.subject, '.', 3), true FROM outbox_events o
         JOIN tenant_numbers n ON n.number::text = split_part(o.subject, '.', 5)
        WHERE o.subject LIKE 'desired.host.%.tenant.%'
     ON CONFLICT DO NOTHING`,
  );
  await markAllPolicies(manager);
}
