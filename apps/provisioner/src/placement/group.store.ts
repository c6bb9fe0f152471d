/**
 * Where the containers of groups are, locked against other transactions that would add to them: what is counted holds
 * until the transaction ends.
 */
import type { Labels } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { GroupMembers, TenantGroup } from './domain/groups.js';

/** First key of the advisory locks of this kind; arbitrary, but the same in every provisioner. */
const LOCK_CLASS = 7_402;

/** Until the transaction ends no other one places containers of these groups, or with regard to them. */
export async function lockGroups(manager: EntityManager, groups: readonly TenantGroup[]): Promise<void> {
  if (groups.length === 0) return;
  // In one order everywhere, and before any host.
  await manager.query(
    `SELECT pg_advisory_xact_lock($1, key)
       FROM (SELECT DISTINCT hashtext(name) AS key FROM unnest($2::text[]) AS name ORDER BY key) keys`,
    [LOCK_CLASS, groups.map(({ tenant, group }) => `${tenant}/${group}`)],
  );
}

/**
 * Those that are not being removed, on the hosts that they are on or are moving to.
 * @param except id of a container that is not counted
 */
export async function groupMembers(
  manager: EntityManager,
  groups: readonly TenantGroup[],
  except = '',
): Promise<readonly GroupMembers[]> {
  if (groups.length === 0) return [];
  const rows: (Omit<GroupMembers, 'labels'> & { readonly labels: Labels })[] = await manager.query(
    `SELECT m.tenant, m."group", h.host, h.datacenter, h.labels || h.labels_set AS labels, m.count
       FROM (SELECT c.tenant, w."group", coalesce(c.moving->>'to', c.host) AS host, count(*)::int AS count
               FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) AS w(tenant, "group")) w
               JOIN containers c ON c.tenant = w.tenant AND c.config->>'group' = w."group"
                AND c.config->>'group' IS NOT NULL AND c.state <> 'removed'
              WHERE c.config->>'desired' <> 'removed' AND c.id <> $3
              GROUP BY 1, 2, 3) m
       JOIN hosts h USING (host)`,
    [groups.map(({ tenant }) => tenant), groups.map(({ group }) => group), except],
  );
  return rows;
}

/** Of these containers, with those that their rules name. */
export async function groupsOfContainers(
  manager: EntityManager,
  ids: readonly string[],
): Promise<readonly TenantGroup[]> {
  const rows: TenantGroup[] = await manager.query(
    `SELECT DISTINCT c.tenant, g."group" FROM containers c
      CROSS JOIN LATERAL (VALUES (c.config->>'group'), (c.config->'spread'->>'group'), (c.config->'affinity'->>'group'),
        (c.config->'antiAffinity'->>'group')) AS g("group")
      WHERE c.id = ANY($1::text[]) AND g."group" IS NOT NULL`,
    [ids],
  );
  return rows;
}
