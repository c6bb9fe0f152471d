/** The pool of addresses as it is configured, and as the addresses in use allow it. */
import type { EntityManager } from 'typeorm';
import type { AddressPool } from './domain/address-pool.js';

export interface PoolConflict {
  readonly pool: string;
  readonly pool6: string;
  /** Containers that have an address of the pool that is set. */
  readonly containers: number;
  /** Those of them whose address the new pool does not have. */
  readonly outside: number;
}

/**
 * Sets the pool, if every address in use is in it.
 * @returns undefined when it is set; else what is set, which stays
 */
export async function setPool(
  manager: EntityManager,
  { pool, first, last }: AddressPool,
  pool6: string,
): Promise<PoolConflict | undefined> {
  const inserted: unknown[] = await manager.query(
    `INSERT INTO address_pool (pool, pool6, next, last) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1`,
    [pool, pool6, first, last],
  );
  if (inserted.length > 0 || (await isSet(manager, pool, pool6))) return undefined;
  // No address is given out or released until the transaction ends. The order is that of placements: rows, then pool.
  await manager.query('LOCK TABLE addresses IN SHARE ROW EXCLUSIVE MODE');
  const rows: (PoolConflict & { sameprefix: boolean })[] = await manager.query(
    `SELECT p.pool::text AS pool, p.pool6::text AS pool6, p.pool6 = $3::cidr AS sameprefix, count(a.ipv4)::int AS containers,
            count(a.ipv4) FILTER (WHERE a.ipv4 < $1::inet OR a.ipv4 > $2::inet)::int AS outside
       FROM address_pool p LEFT JOIN addresses a ON a.container_id IS NOT NULL GROUP BY p.pool, p.pool6`,
    [first, last, pool6],
  );
  const now = rows[0];
  if (now && (now.outside > 0 || (now.containers > 0 && !now.sameprefix))) return now;
  await manager.query('DELETE FROM addresses WHERE ipv4 < $1::inet OR ipv4 > $2::inet', [first, last]);
  await manager.query('UPDATE address_pool SET pool = $1, pool6 = $2, next = $3, last = $4', [
    pool,
    pool6,
    first,
    last,
  ]);
  return undefined;
}

async function isSet(manager: EntityManager, pool: string, pool6: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT 1 FROM address_pool WHERE pool = $1::cidr AND pool6 = $2::cidr', [
    pool,
    pool6,
  ]);
  return rows.length === 1;
}
