/** Reads what a rebalance is planned on. Nothing is locked: each move is decided again when its turn comes. */
import type {
  ContainerState,
  GroupRules,
  HealthState,
  ProposedMove,
  RestartPolicy,
  UpdateStatus,
} from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { type MovedConfig, needsOfMoved } from '../moves/domain/relocation.js';
import { tenantPolicies } from '../network/tenant-egress.store.js';
import { groupsOf, type TenantGroup } from '../placement/domain/groups.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { Places } from '../placement/domain/places.js';
import { usedShare } from '../placement/domain/scorers.js';
import { groupMembers, groupsOfContainers } from '../placement/group.store.js';
import { promotedImages, readyHosts } from '../placement/placement.store.js';
import type { Fleet, FleetContainer, RuleHolders } from './domain/fleet.js';
import { whyItStays } from './domain/immovable.js';

interface ContainerRow {
  id: string;
  name: string;
  tenant: string;
  host: string;
  state: ContainerState;
  health: HealthState | null;
  update: UpdateStatus['state'] | null;
  moving: boolean;
  in_rollout: boolean;
  moved_at: string | null;
  config: MovedConfig & { readonly image: string; readonly desired: string; readonly restart: RestartPolicy };
}

export interface FleetQuestion {
  readonly cpuOvercommit: number;
  readonly cooldownMs: number;
  /** Only its containers; undefined: those of all. */
  readonly tenant?: string | undefined;
  /** Hosts with less than this share more than the least used one of their data centre move nothing for balance. */
  readonly leastGap: number;
}

/** Those with rules, or that others' rules may be about. */
const RULED = `(c.config->>'group' IS NOT NULL OR c.config ?| ARRAY['constraints', 'spread', 'affinity', 'antiAffinity'])`;
const CONFIG = [
  'tenant',
  'storageNode',
  'address',
  'limits',
  'bandwidth',
  'egress',
  'hostUsers',
  'constraints',
  'group',
  'spread',
]
  .concat(['affinity', 'antiAffinity', 'image', 'desired', 'restart'])
  .map((field) => `'${field}', c.config->'${field}'`)
  .join(', ');
const RULES = `jsonb_strip_nulls(jsonb_build_object('group', c.config->'group', 'spread', c.config->'spread',
           'affinity', c.config->'affinity', 'antiAffinity', c.config->'antiAffinity'))`;
// Every container that was moved has a volume that was made before.
const CONTAINER = `c.id, c.name, c.tenant, c.host, c.state, c.health, c.update->>'state' AS update,
            c.moving IS NOT NULL AS moving, EXISTS (
              SELECT 1 FROM rollout_members m JOIN rollouts o ON o.id = m.rollout_id
               WHERE m.container_id = c.id AND o.ended_at IS NULL) AS in_rollout,
            CASE WHEN c.config ? 'volumeMade' THEN c.placement->>0 END AS moved_at,
            jsonb_strip_nulls(jsonb_build_object(${CONFIG})) AS config
       FROM containers c`;
/** Containers that are looked at before others get their turn. */
const SLICE = 500;

/** The whole fleet. */
export async function loadFleet(manager: EntityManager, question: FleetQuestion): Promise<Fleet> {
  const { cpuOvercommit, cooldownMs, leastGap } = question;
  const hosts = await readyHosts(manager, cpuOvercommit);
  const tenant = question.tenant ?? null;
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER} WHERE c.state <> 'removed' AND ($2::text IS NULL OR c.tenant = $2)
        AND (c.host = ANY($1::text[]) OR ${RULED})
      ORDER BY c.ordinal`,
    [overused(hosts, leastGap), tenant],
  );
  const ports = await portsTakenElsewhere(manager, { tenant });
  const containers = await containersOf(manager, rows, hosts, ports, cooldownMs);
  const groups = new Map(
    containers
      .flatMap((each) => groupsOf(each.tenant, each.rules))
      .map((each) => [`${each.tenant}/${each.group}`, each]),
  );
  return {
    hosts,
    containers,
    members: await groupMembers(manager, [...groups.values()]),
    holders: [],
    places: new Places(hosts),
  };
}

/**
 * What the decision on one move depends on: its container and both hosts; where it has rules, the containers that its
 * groups are about, of each host and set of rules their number.
 * @param places of all hosts, as far as is known
 */
export async function loadConcerned(
  manager: EntityManager,
  { cpuOvercommit, cooldownMs }: Pick<FleetQuestion, 'cpuOvercommit' | 'cooldownMs'>,
  { containerId, tenant, from, to }: Pick<ProposedMove, 'containerId' | 'tenant' | 'from' | 'to'>,
  places: Places,
): Promise<Fleet> {
  const groups = await groupsOfContainers(manager, [containerId]);
  const rows: ContainerRow[] = await manager.query(`SELECT ${CONTAINER} WHERE c.id = $1 AND c.state <> 'removed'`, [
    containerId,
  ]);
  const concerned = [...new Set([from, to, ...rows.map(({ host }) => host)])];
  const hosts = await readyHosts(manager, cpuOvercommit, concerned);
  const ports = await portsTakenElsewhere(manager, { containerId });
  return {
    hosts,
    containers: await containersOf(manager, rows, hosts, ports, cooldownMs),
    members: await groupMembers(manager, groups),
    holders: await holdersOf(manager, tenant, groups, containerId),
    places,
  };
}

/** Other containers with rules that are in the groups, or whose rules are about them. */
async function holdersOf(
  manager: EntityManager,
  tenant: string,
  groups: readonly TenantGroup[],
  except: string,
): Promise<readonly RuleHolders[]> {
  if (groups.length === 0) return [];
  return manager.query(
    `SELECT $1 AS tenant, h.host, h.datacenter, h.labels || h.labels_set AS labels, o.rules, o.count FROM (
       SELECT host, rules, count(*)::int AS count FROM (
         SELECT c.host, ${RULES} AS rules FROM containers c
          WHERE c.state <> 'removed' AND c.tenant = $1 AND c.id <> $3 AND c.config->>'group' IS NOT NULL
            AND c.config->>'group' = ANY($2::text[]) AND c.config ?| ARRAY['spread', 'affinity', 'antiAffinity']
         UNION ALL
         SELECT c.host, ${RULES} AS rules FROM containers c
          WHERE c.state <> 'removed' AND c.tenant = $1 AND c.id <> $3
            AND (c.config->>'group' IS NULL OR c.config->>'group' <> ALL($2::text[]))
            AND coalesce(c.config->'affinity'->>'group', c.config->'antiAffinity'->>'group',
              c.config->'spread'->>'group') IS NOT NULL
            AND ARRAY[c.config->'affinity'->>'group', c.config->'antiAffinity'->>'group',
              c.config->'spread'->>'group'] && $2::text[]) ruled
        GROUP BY host, rules) o
      JOIN hosts h USING (host) WHERE h.state = 'ready' AND NOT h.cordoned`,
    [tenant, groups.map(({ group }) => group), except],
  );
}

async function containersOf(
  manager: EntityManager,
  rows: readonly ContainerRow[],
  hosts: readonly CandidateHost[],
  ports: ReadonlyMap<string, ReadonlySet<string>>,
  cooldownMs: number,
): Promise<FleetContainer[]> {
  const datacenters = new Map(hosts.map(({ host, datacenter }) => [host, datacenter]));
  const promoted = await promotedImages(manager, [...new Set(rows.map(({ config }) => config.image))]);
  const policies = await tenantPolicies(manager, [...new Set(rows.map((row) => row.tenant))]);
  const now = Date.now();
  const containerOf = (row: ContainerRow): FleetContainer => {
    const { id, name, config, host, state, health, update } = row;
    const image = promoted.get(config.image);
    const taken = ports.get(id);
    const needs = needsOfMoved(config, {
      image,
      datacenter: datacenters.get(host),
      wishes: [],
      taken: [],
      tenantPolicy: policies.get(row.tenant),
    });
    const standing = {
      state,
      desired: config.desired,
      health,
      restart: config.restart.policy,
      update,
      isInRollout: row.in_rollout,
      isMoving: row.moving,
      movedAt: row.moved_at === null ? null : Date.parse(row.moved_at),
      isImageServed: promoted.has(config.image),
    };
    return {
      id,
      name,
      tenant: row.tenant,
      host,
      needs: taken
        ? { ...needs, ports: { on: taken, message: () => 'a host port that it asked for is taken' } }
        : needs,
      rules: rulesOf(config),
      isRunning: state !== 'stopped',
      stays: whyItStays(standing, now, cooldownMs),
    };
  };
  const containers: FleetContainer[] = [];
  for (const [index, row] of rows.entries()) {
    if (index % SLICE === SLICE - 1) await new Promise((resolve) => setImmediate(resolve));
    containers.push(containerOf(row));
  }
  return containers;
}

/** Hosts from which containers may have to move. */
function overused(hosts: readonly CandidateHost[], leastGap: number): string[] {
  const least = new Map<string, number>();
  for (const host of hosts)
    least.set(host.datacenter, Math.min(usedShare(host), least.get(host.datacenter) ?? Number.POSITIVE_INFINITY));
  return hosts.filter((host) => usedShare(host) - (least.get(host.datacenter) ?? 0) > leastGap).map(({ host }) => host);
}

/** By container that asked for host ports: hosts on which others have one of them. */
async function portsTakenElsewhere(
  manager: EntityManager,
  { tenant = null, containerId = null }: { readonly tenant?: string | null; readonly containerId?: string | null },
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const rows: { id: string; hosts: string[] }[] = await manager.query(
    `SELECT own.container_id AS id, array_agg(DISTINCT other.host) AS hosts
       FROM host_ports own JOIN host_ports other ON other.port = own.port AND other.protocol = own.protocol
         AND other.container_id <> own.container_id
      WHERE own.asked AND ($1::text IS NULL OR own.tenant = $1) AND ($2::text IS NULL OR own.container_id = $2)
      GROUP BY 1`,
    [tenant, containerId],
  );
  return new Map(rows.map(({ id, hosts }) => [id, new Set(hosts)]));
}

function rulesOf({ group, spread, affinity, antiAffinity }: GroupRules): GroupRules {
  return {
    ...(group !== undefined && { group }),
    ...(spread && { spread }),
    ...(affinity && { affinity }),
    ...(antiAffinity && { antiAffinity }),
  };
}
