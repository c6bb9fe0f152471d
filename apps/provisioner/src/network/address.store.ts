/**
 * Addresses of containers and numbers of tenants.
 *
 * An address has a row from the first time that it may be given out. The free row that has rested longest is taken, and
 * rows that another transaction is taking are passed over: nothing is locked that two placements need. Locks are taken
 * in this order: address, pool, tenant number, then (placement.store.ts) host.
 */
import { MAX_TENANT_NUMBER } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { containerAddress, type NetworkIdentity } from './domain/address-pool.js';

/** A released address is not given out again for so long, while there are others: someone may still send to it. */
const REST_SECONDS = 3_600;
/** Rows that are made when no rested address is left. */
const BLOCK = 1_024;
/** Key of the advisory lock on the count of tenants; arbitrary, but the same in every provisioner. */
const NUMBERS_LOCK = 7_402;

interface TakenRow {
  ipv4: string | null;
  pool6: string | null;
  number: number | null;
}

/** Gives the container an address, and its tenant a number if it has none. @returns the reason when it can't */
export async function takeIdentity(
  manager: EntityManager,
  containerId: string,
  tenant: string,
): Promise<NetworkIdentity | 'address-pool-exhausted' | 'tenant-numbers-exhausted'> {
  let row = await takeAddress(manager, containerId, tenant, REST_SECONDS);
  while (row.ipv4 === null && (await extendPool(manager)))
    row = await takeAddress(manager, containerId, tenant, REST_SECONDS);
  // Every address was given out at some time: those that others are just taking are waited for.
  if (row.ipv4 === null) row = await takeAddress(manager, containerId, tenant, 0, 'wait');
  if (row.ipv4 === null || row.pool6 === null) return 'address-pool-exhausted';
  const tenantNumber = row.number ?? (await numberTenant(manager, tenant));
  if (tenantNumber === undefined) {
    await returnNetwork(manager, containerId);
    return 'tenant-numbers-exhausted';
  }
  return { address: containerAddress(row.ipv4, row.pool6), tenantNumber };
}

async function takeAddress(
  manager: EntityManager,
  containerId: string,
  tenant: string,
  restSeconds: number,
  locked: 'pass over' | 'wait' = 'pass over',
): Promise<TakenRow> {
  const rows: TakenRow[] = await manager.query(
    `WITH free AS MATERIALIZED (
       SELECT ipv4 FROM addresses WHERE container_id IS NULL AND free_since <= now() - make_interval(secs => $3)
        ORDER BY free_since, ipv4 LIMIT 1 FOR UPDATE ${locked === 'wait' ? '' : 'SKIP LOCKED'}),
     taken AS (UPDATE addresses a SET container_id = $1 FROM free WHERE a.ipv4 = free.ipv4 RETURNING a.ipv4)
     SELECT (SELECT host(ipv4) FROM taken) AS ipv4, (SELECT pool6::text FROM address_pool) AS pool6,
            (SELECT number FROM tenant_numbers WHERE tenant = $2) AS number`,
    [containerId, tenant, restSeconds],
  );
  return rows[0] ?? { ipv4: null, pool6: null, number: null };
}

/** Who is to get an address. */
export interface AddressWish {
  readonly containerId: string;
  readonly tenant: string;
}

/**
 * As {@link takeIdentity} for several containers.
 * @returns what each got, by container; those that are missing have to be tried one by one
 */
export async function takeIdentities(
  manager: EntityManager,
  wishes: readonly AddressWish[],
): Promise<ReadonlyMap<string, NetworkIdentity>> {
  if (wishes.length === 0) return new Map();
  const taken: { id: string; ipv4: string; pool6: string }[] = [];
  for (let left = wishes; left.length > 0; left = wishes.slice(taken.length)) {
    taken.push(...(await takeAddresses(manager, left)));
    if (taken.length < wishes.length && !(await extendPool(manager))) break;
  }
  const numbers = new Map<string, number>();
  const tenants = [...new Set(wishes.map(({ tenant }) => tenant))].sort();
  const known: { tenant: string; number: number }[] = await manager.query(
    'SELECT tenant, number FROM tenant_numbers WHERE tenant = ANY($1::text[])',
    [tenants],
  );
  for (const { tenant, number } of known) numbers.set(tenant, number);
  for (const tenant of tenants.filter((name) => !numbers.has(name))) {
    const number = await numberTenant(manager, tenant);
    if (number !== undefined) numbers.set(tenant, number);
  }
  const tenantOf = new Map(wishes.map(({ containerId, tenant }) => [containerId, tenant]));
  const identities = new Map<string, NetworkIdentity>();
  for (const { id, ipv4, pool6 } of taken) {
    const tenantNumber = numbers.get(tenantOf.get(id) ?? '');
    if (tenantNumber !== undefined) identities.set(id, { address: containerAddress(ipv4, pool6), tenantNumber });
  }
  const unused = taken.flatMap(({ id }) => (identities.has(id) ? [] : [id]));
  await returnAddresses(manager, unused);
  return identities;
}

async function takeAddresses(
  manager: EntityManager,
  wishes: readonly AddressWish[],
): Promise<{ id: string; ipv4: string; pool6: string }[]> {
  return manager.query(
    `WITH free AS MATERIALIZED (
       SELECT ipv4 FROM addresses WHERE container_id IS NULL AND free_since <= now() - make_interval(secs => $2)
        ORDER BY free_since, ipv4 LIMIT cardinality($1::text[]) FOR UPDATE SKIP LOCKED),
     given AS MATERIALIZED (
       SELECT f.ipv4, w.id FROM (SELECT ipv4, row_number() OVER (ORDER BY ipv4) AS position FROM free) f
         JOIN unnest($1::text[]) WITH ORDINALITY AS w(id, position) USING (position)),
     taken AS (UPDATE addresses a SET container_id = g.id FROM given g WHERE a.ipv4 = g.ipv4)
     SELECT g.id, host(g.ipv4) AS ipv4, (SELECT pool6::text FROM address_pool) AS pool6 FROM given g`,
    [wishes.map(({ containerId }) => containerId), REST_SECONDS],
  );
}

/** Undoes what was taken for containers that got no use for it; they need not rest. */
export async function returnAddresses(manager: EntityManager, containerIds: readonly string[]): Promise<void> {
  if (containerIds.length === 0) return;
  await manager.query('UPDATE addresses SET container_id = NULL WHERE container_id = ANY($1::text[])', [containerIds]);
}

/** Makes rows for addresses that were never given out. @returns false when there are none */
async function extendPool(manager: EntityManager): Promise<boolean> {
  for (let seen = await poolEnd(manager, ''); seen.left; seen = await poolEnd(manager, '')) {
    // Others wait here until this transaction ends: once for each block.
    const locked = await poolEnd(manager, 'FOR UPDATE');
    if (locked.next !== seen.next) return true;
    const made: unknown[] = await manager.query(
      `WITH moved AS (UPDATE address_pool SET next = next + least(${BLOCK}, last - next + 1))
       INSERT INTO addresses (ipv4, free_since)
         SELECT p.next + n, '-infinity' FROM address_pool p, generate_series(0, least(${BLOCK - 1}, p.last - p.next)) n
       ON CONFLICT DO NOTHING RETURNING ipv4`,
    );
    // None is made of addresses that had rows before the pool was made larger.
    if (made.length > 0) return true;
  }
  return false;
}

async function poolEnd(
  manager: EntityManager,
  lock: '' | 'FOR UPDATE',
): Promise<{ readonly next: string; readonly left: boolean }> {
  const rows: { next: string; left: boolean }[] = await manager.query(
    `SELECT host(next) AS next, next <= last AS left FROM address_pool ${lock}`,
  );
  return rows[0] ?? { next: '', left: false };
}

/** @returns undefined when every number is given out */
async function numberTenant(manager: EntityManager, tenant: string): Promise<number | undefined> {
  await manager.query('SELECT pg_advisory_xact_lock($1)', [NUMBERS_LOCK]);
  const given: { number: number }[] = await manager.query(
    `WITH known AS (SELECT number FROM tenant_numbers WHERE tenant = $1),
     given AS (
       INSERT INTO tenant_numbers (tenant, number)
         SELECT $1, n.most + 1 FROM (SELECT coalesce(max(number), 0) AS most FROM tenant_numbers) n
          WHERE n.most < $2 AND NOT EXISTS (SELECT 1 FROM known)
       RETURNING number)
     SELECT number FROM known UNION ALL SELECT number FROM given`,
    [tenant, MAX_TENANT_NUMBER],
  );
  return given[0]?.number;
}

/** Undoes what was taken for a container that is not made: the address need not rest, because nobody has seen it. */
export async function returnNetwork(manager: EntityManager, containerId: string): Promise<void> {
  await manager.query(
    `WITH freed AS (UPDATE addresses SET container_id = NULL WHERE container_id = $1)
     DELETE FROM host_ports WHERE container_id = $1`,
    [containerId],
  );
}

/** Releases the address and all ports of a container that is removed; before the room on its host, see above. */
export function releaseNetwork(manager: EntityManager, containerId: string): Promise<void> {
  return releaseNetworks(manager, [containerId]);
}

/** As {@link releaseNetwork} for many. */
export async function releaseNetworks(manager: EntityManager, containerIds: readonly string[]): Promise<void> {
  if (containerIds.length === 0) return;
  await manager.query(
    `WITH freed AS (UPDATE addresses SET container_id = NULL, free_since = now() WHERE container_id = ANY($1::text[]))
     DELETE FROM host_ports WHERE container_id = ANY($1::text[])`,
    [containerIds],
  );
}
