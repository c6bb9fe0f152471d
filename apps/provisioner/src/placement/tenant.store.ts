/** The usage of a tenant, locked against other transactions that would add to it. */
import type { EntityManager } from 'typeorm';
import type { TenantUsage } from './domain/tenant-quota.js';

/** First key of the advisory locks of this kind; arbitrary, but the same in every provisioner. */
const LOCK_CLASS = 7_401;

/** Until the transaction ends no other provisioner counts this tenant. */
export async function lockTenantUsage(manager: EntityManager, tenant: string): Promise<TenantUsage> {
  await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LOCK_CLASS, tenant]);
  const rows: { containers: number; memory: string; disk: string }[] = await manager.query(
    `SELECT count(*)::int AS containers, coalesce(sum(memory_bytes), 0) AS memory,
       (SELECT coalesce(sum(bytes), 0) FROM tenant_disk WHERE tenant = $1) AS disk
       FROM containers WHERE tenant = $1 AND state <> 'removed'`,
    [tenant],
  );
  return {
    containers: rows[0]?.containers ?? 0,
    memoryBytes: Number(rows[0]?.memory ?? 0),
    diskBytes: Number(rows[0]?.disk ?? 0),
  };
}
