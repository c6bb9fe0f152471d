/** Reads the input of a placement in one query, and reserves room on a host. */
import type { HostUsers } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import type { CatalogueImage, ImageCatalogue } from '../images/domain/image-resolution.js';
import type { CandidateHost, Resources } from './domain/placement.js';

export interface PlacementView {
  readonly hosts: readonly CandidateHost[];
  readonly catalogue: ImageCatalogue;
}

interface HostJson {
  host: string;
  datacenter: string;
  storage_nodes: string[];
  capacity_memory: number;
  capacity_cpus: number;
  capacity_containers: number;
  cores: number;
  allocated_memory: number;
  allocated_cpus: number;
  allocated_containers: number;
  load1: number;
  network: boolean;
  cni_network: string | null;
  disk_limits: string[];
  own_users: string[] | null;
  host_users: HostUsers | null;
}

/**
 * @param askedName name of the requested image, if any
 * @param lostSeconds age from which a storage node counts as lost
 */
export async function loadPlacementView(
  manager: EntityManager,
  askedName: string | undefined,
  cpuOvercommit: number,
  lostSeconds: number,
): Promise<PlacementView> {
  const rows: {
    hosts: HostJson[];
    images: Omit<CatalogueImage, never>[];
    defaults: Record<string, string>;
    os: string | null;
  }[] = await manager.query(
    `SELECT
       (SELECT coalesce(json_agg(to_json(h)), '[]') FROM hosts h WHERE h.state = 'ready' AND NOT h.cordoned) AS hosts,
       (SELECT coalesce(json_agg(json_build_object(
            'name', v.name, 'version', v.version, 'state', v.state, 'contentDigest', v.content_digest,
            'storageNodes', (SELECT coalesce(json_agg(m.node), '[]') FROM masters m
              JOIN storage_nodes s ON s.node = m.node
                              WHERE m.name = v.name AND m.version = v.version AND m.content_digest = v.content_digest
                                AND s.last_seen_at > now() - make_interval(secs => $2)))), '[]')
          FROM image_versions v WHERE v.name = $1 OR v.name = (SELECT name FROM default_os)) AS images,
       (SELECT coalesce(json_object_agg(d.name, d.version), '{}') FROM image_defaults d) AS defaults,
       (SELECT name FROM default_os) AS os`,
    [askedName ?? '', lostSeconds],
  );
  const row = rows[0];
  if (!row) throw new Error('the placement query returned no row');
  return {
    hosts: row.hosts.map((host) => ({
      host: host.host,
      datacenter: host.datacenter,
      storageNodes: host.storage_nodes,
      capacity: {
        memoryBytes: host.capacity_memory,
        cpus: host.capacity_cpus * cpuOvercommit,
        containers: host.capacity_containers,
      },
      allocated: {
        memoryBytes: host.allocated_memory,
        cpus: host.allocated_cpus,
        containers: host.allocated_containers,
      },
      loadPerCore: host.load1 / Math.max(host.cores, 1),
      network: host.network,
      egressPolicies: host.network && host.cni_network === null,
      diskLimits: host.disk_limits,
      ownUsers: host.own_users,
      hostUsers: host.host_users,
    })),
    catalogue: { images: row.images, defaults: row.defaults, defaultOs: row.os },
  };
}

/**
 * Reserves the room if it is still free; the condition is checked under the row's lock, so several provisioners never
 * exceed it. The image is locked until the transaction ends, so that it is not retired before the container that needs
 * it is visible.
 */
export async function reserve(
  manager: EntityManager,
  host: string,
  image: { readonly name: string; readonly version: string },
  asked: Resources,
  cpuOvercommit: number,
): Promise<'reserved' | 'no-room' | 'image-withdrawn'> {
  const rows: { held: boolean; taken: boolean }[] = await manager.query(
    `WITH image AS MATERIALIZED (SELECT 1 FROM image_versions WHERE name = $5 AND version = $6
       AND state = 'promoted' FOR SHARE),
     taken AS (
       UPDATE hosts SET allocated_memory = allocated_memory + $2, allocated_cpus = allocated_cpus + $3,
         allocated_containers = allocated_containers + 1
         FROM image
        WHERE host = $1 AND state = 'ready' AND NOT cordoned
          AND allocated_memory + $2 <= capacity_memory
          AND allocated_cpus + $3 <= capacity_cpus * $4 + 1e-9
          AND allocated_containers + 1 <= capacity_containers
        RETURNING host)
     SELECT EXISTS (SELECT 1 FROM image) AS held, EXISTS (SELECT 1 FROM taken) AS taken`,
    [host, asked.memoryBytes, asked.cpus, cpuOvercommit, image.name, image.version],
  );
  const row = rows[0];
  if (row?.taken) return 'reserved';
  return row?.held ? 'no-room' : 'image-withdrawn';
}

/** Reserves the room even if the host is full, for a container that only has to be cleared away. */
export async function occupy(
  manager: EntityManager,
  host: string,
  asked: { memoryBytes: number; cpus: number },
): Promise<void> {
  await manager.query(
    `UPDATE hosts SET allocated_memory = allocated_memory + $2, allocated_cpus = allocated_cpus + $3,
       allocated_containers = allocated_containers + 1 WHERE host = $1`,
    [host, asked.memoryBytes, asked.cpus],
  );
}

export async function release(
  manager: EntityManager,
  host: string,
  asked: { memoryBytes: number; cpus: number },
): Promise<void> {
  await manager.query(
    `UPDATE hosts SET allocated_memory = greatest(0, allocated_memory - $2),
       allocated_cpus = greatest(0, allocated_cpus - $3),
            allocated_containers = greatest(0, allocated_containers - 1) WHERE host = $1`,
    [host, asked.memoryBytes, asked.cpus],
  );
}
