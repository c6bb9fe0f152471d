/** The usage of a tenant, locked against other transactions that would add to it. */
import type { EntityManager } from 'typeorm';
import type { TenantUsage } from './domain/tenant-quota.js';

/** First key of the advisory locks of this kind; arbitrary, but the same in every provisioner. */
const LOCK_CLASS = 7_401;

/** Until the transaction ends no other provisioner counts this tenant. */
export async function lockTenantUsage(manager: EntityManager, tenant: string): Promise<TenantUsage> {
  return (await lockTenantUsages(manager, [tenant])).get(tenant) ?? { containers: 0, memoryBytes: 0, diskBytes: 0 };
}

/** As {@link lockTenantUsage} for several tenants, each once. */
export async function lockTenantUsages(
  manager: EntityManager,
  tenants: readonly string[],
): Promise<ReadonlyMap<string, TenantUsage>> {
  // In one order everywhere, and read only when all are locked.
  await manager.query(
    `SELECT pg_advisory_xact_lock($1, key)
       FROM (SELECT DISTINCT hashtext(tenant) AS key FROM unnest($2::text[]) AS tenant ORDER BY key) keys`,
    [LOCK_CLASS, tenants],
  );
  return tenantUsages(manager, tenants);
}

/** Without a lock: others may add to it. */
export async function tenantUsages(
  manager: EntityManager,
  tenants: readonly string[],
): Promise<ReadonlyMap<string, TenantUsage>> {
  const rows: { tenant: string; containers: number; memory: string; disk: string }[] = await manager.query(
    `SELECT t.tenant, c.containers, c.memory, (SELECT coalesce(sum(d.bytes), 0) FROM tenant_disk d
         WHERE d.tenant = t.tenant) AS disk
       FROM unnest($1::text[]) AS t(tenant)
       CROSS JOIN LATERAL (SELECT count(*)::int AS containers, coalesce(sum(memory_bytes), 0) AS memory
         FROM containers WHERE containers.tenant = t.tenant AND state <> 'removed') c`,
    [tenants],
  );
  return new Map(
    rows.map(({ tenant, containers, memory, disk }) => [
      tenant,
      { containers, memoryBytes: Number(memory), diskBytes: Number(disk) },
    ]),
  );
}
