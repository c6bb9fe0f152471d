/** The usage of a tenant, locked against other transactions that would add to it. */
import type { EntityManager } from 'typeorm';
import { keptCounts } from './count.store.js';
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
  const counts = await keptCounts(manager, 'tenant', tenants);
  const disks: { tenant: string; bytes: string }[] = await manager.query(
    'SELECT tenant, sum(bytes) AS bytes FROM tenant_disk WHERE tenant = ANY($1::text[]) GROUP BY tenant',
    [tenants],
  );
  const diskOf = new Map(disks.map(({ tenant, bytes }) => [tenant, Number(bytes)]));
  return new Map(
    tenants.map((tenant) => {
      const { n: containers, bytes: memoryBytes } = counts.get(tenant) ?? { n: 0, bytes: 0 };
      return [tenant, { containers, memoryBytes, diskBytes: diskOf.get(tenant) ?? 0 }];
    }),
  );
}
