/** Reads what a rebalance is planned on. Nothing is locked: each move is decided again when its turn comes. */
import type { ContainerState, GroupRules, HealthState, RestartPolicy, UpdateStatus } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { type MovedConfig, needsOfMoved } from '../moves/domain/relocation.js';
import { tenantPolicies } from '../network/tenant-egress.store.js';
import { groupsOf } from '../placement/domain/groups.js';
import type { CandidateHost } from '../placement/domain/placement.js';
import { usedShare } from '../placement/domain/scorers.js';
import { groupMembers } from '../placement/group.store.js';
import { promotedImages, readyHosts } from '../placement/placement.store.js';
import type { Fleet, FleetContainer } from './domain/fleet.js';
import { whyItStays } from './domain/stays.js';

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
  /** One container, and those of its tenant with rules; absent: the whole fleet. */
  readonly one?: { readonly id: string; readonly tenant: string };
}

/** Those with rules, or that others' rules may be about. */
const RULED = `(c.config->>'group' IS NOT NULL OR c.config ?| ARRAY['constraints', 'spread', 'affinity', 'antiAffinity'])`;
const CONFIG = ['tenant', 'storageNode', 'address', 'limits', 'egress', 'hostUsers', 'constraints', 'group', 'spread']
  .concat(['affinity', 'antiAffinity', 'image', 'desired', 'restart'])
  .map((field) => `'${field}', c.config->'${field}'`)
  .join(', ');

export async function loadFleet(manager: EntityManager, question: FleetQuestion): Promise<Fleet> {
  const { cpuOvercommit, cooldownMs, leastGap, one } = question;
  const hosts = await readyHosts(manager, cpuOvercommit);
  const sources = one ? [] : overused(hosts, leastGap);
  const tenant = one?.tenant ?? question.tenant ?? null;
  // Every container that was moved has a volume that was made before.
  const rows: ContainerRow[] = await manager.query(
    `SELECT c.id, c.name, c.tenant, c.host, c.state, c.health, c.update->>'state' AS update,
            c.moving IS NOT NULL AS moving, r.container_id IS NOT NULL AS in_rollout,
            CASE WHEN c.config ? 'volumeMade' THEN c.placement->>0 END AS moved_at,
            jsonb_strip_nulls(jsonb_build_object(${CONFIG})) AS config
       FROM containers c LEFT JOIN (
         SELECT DISTINCT m.container_id FROM rollouts o JOIN rollout_members m ON m.rollout_id = o.id
          WHERE o.ended_at IS NULL) r ON r.container_id = c.id
      WHERE c.state <> 'removed' AND ($2::text IS NULL OR c.tenant = $2)
        AND (c.host = ANY($1::text[]) OR c.id = $3 OR ${RULED})
      ORDER BY c.ordinal`,
    [sources, tenant, one?.id ?? ''],
  );
  const datacenters = new Map(hosts.map(({ host, datacenter }) => [host, datacenter]));
  const promoted = await promotedImages(manager, [...new Set(rows.map(({ config }) => config.image))]);
  const policies = await tenantPolicies(manager, [...new Set(rows.map((row) => row.tenant))]);
  const ports = await portsTakenElsewhere(manager, tenant);
  const now = Date.now();
  const containers = rows.map((row): FleetContainer => {
    const { id, name, config, host, state, health, update } = row;
    const image = promoted.get(config.image);
    const taken = ports.get(id);
    const needs = needsOfMoved(config, {
      architecture: image,
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
  });
  const groups = new Map(
    containers
      .flatMap((each) => groupsOf(each.tenant, each.rules))
      .map((each) => [`${each.tenant}/${each.group}`, each]),
  );
  return { hosts, containers, members: await groupMembers(manager, [...groups.values()]) };
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
  tenant: string | null,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const rows: { id: string; hosts: string[] }[] = await manager.query(
    `SELECT own.container_id AS id, array_agg(DISTINCT other.host) AS hosts
       FROM host_ports own JOIN host_ports other ON other.port = own.port AND other.protocol = own.protocol
         AND other.container_id <> own.container_id
      WHERE own.asked AND ($1::text IS NULL OR own.tenant = $1) GROUP BY 1`,
    [tenant],
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
