/**
 * What containers of a tenant may reach: the policy, which hosts were sent it, and which report it. A change writes one
 * row; the feed then writes one message for each host of the tenant. No container's row is touched.
 */
import type { EgressPolicy, PolicyInEffect, TenantDetails, TenantHost, TenantPolicy } from '@plinth/contracts';
import { queryPrepared } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';

interface PolicyRow {
  tenant: string;
  /** bigint */
  revision: string;
  policy: EgressPolicy;
}

const policyOf = ({ revision, policy }: PolicyRow): TenantPolicy => ({ ...policy, revision: Number(revision) });

/** Of those that have one. */
export async function tenantPolicies(
  manager: EntityManager,
  tenants: readonly string[],
): Promise<ReadonlyMap<string, TenantPolicy>> {
  const rows = await queryPrepared<PolicyRow>(
    manager,
    'SELECT tenant, revision, policy FROM tenant_egress WHERE tenant = ANY($1)',
    [tenants],
  );
  return new Map(rows.map((row) => [row.tenant, policyOf(row)]));
}

export async function tenantPolicy(manager: EntityManager, tenant: string): Promise<TenantPolicy | undefined> {
  return (await tenantPolicies(manager, [tenant])).get(tenant);
}

/**
 * The revision is at least the time in milliseconds: also one that is set after an older state of the database was
 * restored is newer than those that hosts have.
 * @returns the revision
 */
export async function savePolicy(manager: EntityManager, tenant: string, policy: EgressPolicy): Promise<number> {
  const rows: { revision: string }[] = await manager.query(
    `INSERT INTO tenant_egress AS t (tenant, revision, policy)
       VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, $2)
     ON CONFLICT (tenant) DO UPDATE SET revision = greatest(excluded.revision, t.revision + 1),
       policy = excluded.policy, is_sent = false, changed_at = now()
     RETURNING revision`,
    [tenant, JSON.stringify(policy)],
  );
  return Number(rows[0]?.revision);
}

/** Tenants with a policy that not all of their hosts were sent. */
export async function tenantsWithUnsentPolicy(manager: EntityManager, limit: number): Promise<string[]> {
  const rows: { tenant: string }[] = await manager.query(
    `SELECT e.tenant FROM tenant_egress e JOIN tenant_numbers n ON n.tenant = e.tenant WHERE NOT e.is_sent LIMIT $1`,
    [limit],
  );
  return rows.map(({ tenant }) => tenant);
}

export interface PolicyForHost {
  readonly host: string;
  /** Absent: the host has no container of the tenant any more. */
  readonly policy?: TenantPolicy;
}

/** What hosts have to be sent, under the tenant's lock; it counts as sent afterwards. */
export async function takeUnsentPolicies(manager: EntityManager, tenant: string): Promise<PolicyForHost[]> {
  const policy = await tenantPolicy(manager, tenant);
  if (policy === undefined) return [];
  const [sent]: [{ host: string; ended: boolean }[], number] = await manager.query(
    `UPDATE neighbour_hosts SET egress_revision = CASE WHEN ended THEN 0 ELSE $2::bigint END
      WHERE tenant = $1 AND egress_revision <> CASE WHEN ended THEN 0 ELSE $2::bigint END RETURNING host, ended`,
    [tenant, policy.revision],
  );
  // One that was set meanwhile is still to be sent.
  await manager.query('UPDATE tenant_egress SET is_sent = true WHERE tenant = $1 AND revision = $2 AND NOT is_sent', [
    tenant,
    policy.revision,
  ]);
  return sent.map(({ host, ended }) => (ended ? { host } : { host, policy }));
}

/** Every host is sent its policies again: the bus has lost them. */
export async function markAllPolicies(manager: EntityManager): Promise<void> {
  await manager.query('UPDATE neighbour_hosts SET egress_revision = 0');
  await manager.query('UPDATE tenant_egress SET is_sent = false');
}

/** What a host reports, as its row has it: revisions by the tenant's number. */
export function policiesRow(reported: readonly PolicyInEffect[]): Readonly<Record<string, number>> {
  return Object.fromEntries(reported.map(({ tenantNumber, revision }) => [tenantNumber, revision]));
}

interface DetailsRow extends Partial<PolicyRow> {
  number: number | null;
  changed_at: Date | null;
  containers: number;
  hosts: TenantHost[];
}

export async function tenantDetails(manager: EntityManager, tenant: string): Promise<TenantDetails> {
  const rows: DetailsRow[] = await manager.query(
    `WITH own AS (
       SELECT host, config->>'network' AS network, config ? 'address' AS addressed FROM containers
        WHERE tenant = $1 AND state <> 'removed'),
     effects AS (
       SELECT o.host, h.state = 'ready' AS ready, CASE
           WHEN o.network = 'host' OR h.cni_network IS NOT NULL THEN 'never'
           WHEN e.revision IS NULL OR h.tenant_policies->>(n.number::text) = e.revision::text THEN 'yes'
           ELSE 'no' END AS effect
         FROM own o JOIN hosts h ON h.host = o.host
         LEFT JOIN tenant_egress e ON e.tenant = $1 LEFT JOIN tenant_numbers n ON n.tenant = $1
        WHERE o.network = 'host' OR (o.network = 'container' AND o.addressed)),
     grouped AS (SELECT host, effect, bool_and(ready) AS ready, count(*)::int AS containers FROM effects
                  GROUP BY host, effect)
     SELECT e.revision, e.policy, e.changed_at, (SELECT number FROM tenant_numbers WHERE tenant = $1) AS number,
            (SELECT count(*)::int FROM own) AS containers,
            (SELECT coalesce(json_agg(json_build_object('host', host, 'containers', containers, 'effect', effect,
               'isReady', ready) ORDER BY host, effect), '[]') FROM grouped) AS hosts
       FROM (SELECT 1) one LEFT JOIN tenant_egress e ON e.tenant = $1`,
    [tenant],
  );
  const row = rows[0];
  return {
    tenant,
    number: row?.number ?? null,
    containers: row?.containers ?? 0,
    egress: row?.policy ?? { policy: 'allow' },
    revision: Number(row?.revision ?? 0),
    changedAt: row?.changed_at?.toISOString() ?? null,
    hosts: row?.hosts ?? [],
  };
}
