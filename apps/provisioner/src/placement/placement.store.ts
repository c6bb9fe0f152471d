/** Reads the input of a placement in one query, and reserves room on a host. */
import type { HostLimit, HostUsers, Labels } from '@plinth/contracts';
import { queryPrepared } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import type { CatalogueImage, ImageCatalogue } from '../images/domain/image-resolution.js';
import type { PromotedImage } from './domain/needs.js';
import type { CandidateHost, Resources } from './domain/placement.js';

export interface PlacementView {
  readonly hosts: readonly CandidateHost[];
  readonly catalogue: ImageCatalogue;
}

interface HostRow {
  host: string;
  datacenter: string;
  storage_nodes: string[];
  capacity_memory: string;
  capacity_cpus: number;
  capacity_containers: number;
  cores: number;
  allocated_memory: string;
  allocated_cpus: number;
  allocated_containers: number;
  load1: number;
  network: boolean;
  cni_network: string | null;
  disk_limits: string[];
  missing_limits: HostLimit[];
  own_users: string[] | null;
  has_store: boolean;
  host_users: HostUsers | null;
  labels: Labels | null;
}

const NO_LABELS: Labels = {};

/**
 * Labels are null where there are none: most hosts of a large fleet are read several times a second. What they hold in
 * stores of their own, up to a thousand names each, is read when it changes (held-images.ts).
 */
const HOST_COLUMNS =
  'host, datacenter, storage_nodes, capacity_memory, capacity_cpus, capacity_containers, cores, allocated_memory, ' +
  'allocated_cpus, allocated_containers, load1, network, cni_network, disk_limits, missing_limits, own_users, host_users, ' +
  'own_images IS NOT NULL AS has_store, ' +
  "CASE WHEN labels <> '{}' OR labels_set <> '{}' THEN labels || labels_set END AS labels";

function candidateOf(row: HostRow, cpuOvercommit: number): CandidateHost {
  return {
    host: row.host,
    datacenter: row.datacenter,
    storageNodes: row.storage_nodes,
    capacity: {
      memoryBytes: Number(row.capacity_memory),
      cpus: row.capacity_cpus * cpuOvercommit,
      containers: row.capacity_containers,
    },
    allocated: {
      memoryBytes: Number(row.allocated_memory),
      cpus: row.allocated_cpus,
      containers: row.allocated_containers,
    },
    loadPerCore: row.load1 / Math.max(row.cores, 1),
    network: row.network,
    egressPolicies: row.network && row.cni_network === null,
    diskLimits: row.disk_limits,
    missingLimits: row.missing_limits,
    ownUsers: row.own_users,
    hostUsers: row.host_users,
    hasStore: row.has_store,
    labels: row.labels ?? NO_LABELS,
  };
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
  return {
    hosts: await readyHosts(manager, cpuOvercommit),
    catalogue: await loadCatalogue(manager, askedName === undefined ? [] : [askedName], lostSeconds),
  };
}

/** Every host that gets containers. @param names only those of them; undefined: all */
export async function readyHosts(
  manager: EntityManager,
  cpuOvercommit: number,
  names?: readonly string[],
): Promise<CandidateHost[]> {
  const rows: HostRow[] = await manager.query(
    `SELECT ${HOST_COLUMNS} FROM hosts
      WHERE state = 'ready' AND NOT cordoned ${names ? 'AND host = ANY($1::text[])' : ''} ORDER BY host`,
    names ? [names] : [],
  );
  return rows.map((row) => candidateOf(row, cpuOvercommit));
}

/** By host with a store of its own: a number that is another one when the host has reported something else. */
export async function storeReports(manager: EntityManager): Promise<ReadonlyMap<string, string>> {
  // One row: to take ten thousand apart costs the driver more than they cost the database.
  const rows: { hosts: string[]; reports: string[] }[] = await manager.query(
    `SELECT coalesce(json_agg(host), '[]') AS hosts, coalesce(json_agg(report::text), '[]') AS reports
       FROM hosts WHERE own_images IS NOT NULL`,
  );
  const { hosts = [], reports = [] } = rows[0] ?? {};
  return new Map(hosts.map((host, index) => [host, reports[index] ?? '']));
}

export interface StoreContent {
  readonly host: string;
  /** As in {@link storeReports}. */
  readonly report: string;
  /** `name@version` */
  readonly images: readonly string[];
}

export async function storeContents(
  manager: EntityManager,
  hosts: readonly string[],
): Promise<readonly StoreContent[]> {
  return manager.query(
    `SELECT host, report::text AS report, own_images AS images FROM hosts
      WHERE host = ANY($1::text[]) AND own_images IS NOT NULL`,
    [hosts],
  );
}

/** Hosts on which containers run, by their image. */
export async function imagesOnHosts(manager: EntityManager): Promise<Map<string, Set<string>>> {
  const rows: { image: string; hosts: string[] }[] = await manager.query(
    `SELECT config->>'image' AS image, array_agg(DISTINCT host) AS hosts FROM containers
      WHERE state = 'running' GROUP BY 1`,
  );
  return new Map(rows.map(({ image, hosts }) => [image, new Set(hosts)]));
}

/** Until the transaction ends, as they are then: those of the named hosts that get containers and that nobody else has locked. */
export async function lockFreeHosts(
  manager: EntityManager,
  names: readonly string[],
  cpuOvercommit: number,
): Promise<CandidateHost[]> {
  const rows = await queryPrepared<HostRow>(
    manager,
    `SELECT ${HOST_COLUMNS} FROM hosts WHERE host = ANY($1::text[]) AND state = 'ready' AND NOT cordoned
       ORDER BY host FOR UPDATE SKIP LOCKED`,
    [names],
  );
  return rows.map((row) => candidateOf(row, cpuOvercommit));
}

/** Locks as {@link lockFreeHosts} all hosts that get containers, but no more than so many, and waits for others. */
export async function lockReadyHosts(
  manager: EntityManager,
  most: number,
  cpuOvercommit: number,
): Promise<CandidateHost[]> {
  // One order for all who lock several: they wait in one direction.
  const rows: HostRow[] = await manager.query(
    `SELECT ${HOST_COLUMNS} FROM hosts WHERE state = 'ready' AND NOT cordoned ORDER BY host LIMIT $1 FOR UPDATE`,
    [most],
  );
  return rows.map((row) => candidateOf(row, cpuOvercommit));
}

/** Images of these names and of the default OS. @param lostSeconds age from which a storage node counts as lost */
export async function loadCatalogue(
  manager: EntityManager,
  names: readonly string[],
  lostSeconds: number,
): Promise<ImageCatalogue> {
  const rows = await queryPrepared<{
    images: Omit<CatalogueImage, never>[];
    defaults: Record<string, string>;
    os: string | null;
    free: Record<string, number>;
  }>(
    manager,
    `SELECT
       (SELECT coalesce(json_agg(json_build_object(
            'name', v.name, 'version', v.version, 'state', v.state, 'contentDigest', v.content_digest, 'architecture', v.architecture,
            'storageNodes', (SELECT coalesce(json_agg(m.node), '[]') FROM masters m
              JOIN storage_nodes s ON s.node = m.node
                              WHERE m.name = v.name AND m.version = v.version AND m.content_digest = v.content_digest
                                AND s.last_seen_at > now() - make_interval(secs => $2)))), '[]')
          FROM image_versions v WHERE v.name = ANY($1::text[]) OR v.name = (SELECT name FROM default_os)) AS images,
       (SELECT coalesce(json_object_agg(d.name, d.version), '{}') FROM image_defaults d) AS defaults,
       (SELECT name FROM default_os) AS os,
       (SELECT coalesce(json_object_agg(node, free_bytes), '{}') FROM storage_nodes
         WHERE last_seen_at > now() - make_interval(secs => $2)) AS free`,
    [names, lostSeconds],
  );
  const row = rows[0];
  if (!row) throw new Error('the query of the catalogue returned no row');
  const bytes = Object.values(row.free);
  const storage = { free: row.free, most: Math.max(0, ...bytes), least: Math.min(...bytes) };
  return { images: row.images, defaults: row.defaults, defaultOs: row.os, storage };
}

/** What is reserved on one host for several containers. */
export interface HostShare extends Resources {
  readonly host: string;
}

/**
 * Reserves all of it, under locks of the hosts' rows that the transaction has, and holds the images as {@link reserve}.
 * @returns false when an image is not promoted any more, or a host has no room: the transaction has to be rolled back
 */
export async function reserveAll(
  manager: EntityManager,
  shares: readonly HostShare[],
  images: readonly { readonly name: string; readonly version: string }[],
  cpuOvercommit: number,
): Promise<boolean> {
  const rows = await queryPrepared<{ held: number; taken: number }>(
    manager,
    `WITH image AS MATERIALIZED (
       SELECT 1 FROM image_versions v JOIN unnest($6::text[], $7::text[]) AS i(name, version)
         ON v.name = i.name AND v.version = i.version WHERE v.state = 'promoted' FOR SHARE OF v),
     taken AS (
       UPDATE hosts h SET allocated_memory = h.allocated_memory + s.memory, allocated_cpus = h.allocated_cpus + s.cpus,
         allocated_containers = h.allocated_containers + s.containers
         FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::int[]) AS s(host, memory, cpus, containers)
        WHERE h.host = s.host AND h.state = 'ready' AND NOT h.cordoned
          AND h.allocated_memory + s.memory <= h.capacity_memory
          AND h.allocated_cpus + s.cpus <= h.capacity_cpus * $5 + 1e-6
          AND h.allocated_containers + s.containers <= h.capacity_containers
        RETURNING 1)
     SELECT (SELECT count(*)::int FROM image) AS held, (SELECT count(*)::int FROM taken) AS taken`,
    [
      shares.map(({ host }) => host),
      shares.map(({ memoryBytes }) => memoryBytes),
      shares.map(({ cpus }) => cpus),
      shares.map(({ containers }) => containers),
      cpuOvercommit,
      images.map(({ name }) => name),
      images.map(({ version }) => version),
    ],
  );
  return rows[0]?.held === images.length && rows[0].taken === shares.length;
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

/** Releases what containers had reserved on their hosts, whose rows are locked in the order of names. */
export async function releaseShares(manager: EntityManager, shares: readonly HostShare[]): Promise<void> {
  if (shares.length === 0) return;
  await manager.query(
    `WITH share AS MATERIALIZED (
       SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::int[]) AS s(host, memory, cpus, containers)),
     held AS MATERIALIZED (SELECT host FROM hosts WHERE host = ANY($1::text[]) ORDER BY host FOR UPDATE)
     UPDATE hosts h SET allocated_memory = greatest(0, h.allocated_memory - s.memory),
       allocated_cpus = greatest(0, h.allocated_cpus - s.cpus),
       allocated_containers = greatest(0, h.allocated_containers - s.containers)
       FROM share s JOIN held USING (host) WHERE h.host = s.host`,
    [
      shares.map(({ host }) => host),
      shares.map(({ memoryBytes }) => memoryBytes),
      shares.map(({ cpus }) => cpus),
      shares.map(({ containers }) => containers),
    ],
  );
}

/** What the containers take of their hosts, together. */
export function sharesOf(
  configs: readonly {
    readonly host: string;
    readonly limits: { readonly memoryBytes: number; readonly cpus: number };
  }[],
): readonly HostShare[] {
  const shares = new Map<string, HostShare>();
  for (const { host, limits } of configs) {
    const before = shares.get(host) ?? { host, memoryBytes: 0, cpus: 0, containers: 0 };
    shares.set(host, {
      host,
      memoryBytes: before.memoryBytes + limits.memoryBytes,
      cpus: before.cpus + limits.cpus,
      containers: before.containers + 1,
    });
  }
  return [...shares.values()];
}

/** Those of the images, `name@version`, on which containers may be started. */
export async function promotedImages(
  manager: EntityManager,
  images: readonly string[],
): Promise<ReadonlyMap<string, PromotedImage>> {
  const rows: (PromotedImage & { readonly image: string })[] = await manager.query(
    `SELECT image, v.architecture, (SELECT coalesce(array_agg(m.node), '{}') FROM masters m
              WHERE m.name = v.name AND m.version = v.version AND m.content_digest = v.content_digest) AS "storageNodes"
       FROM unnest($1::text[]) AS image JOIN image_versions v
         ON v.name = split_part(image, '@', 1) AND v.version = split_part(image, '@', 2) WHERE v.state = 'promoted'`,
    [images],
  );
  return new Map(rows.map(({ image, ...found }) => [image, found]));
}
