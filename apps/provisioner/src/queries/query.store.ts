/** Answers for people: lists in pages, one container with its history. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type {
  ContainerDetails,
  ContainerHistoryEntry,
  ContainerQuery,
  ContainersQuery,
  ContainerStatus,
  HostStatus,
  ImageSummary,
  Page,
  StorageStatus,
} from '@plinth/contracts';
import type { DataSource } from 'typeorm';
import { statusOf } from '../containers/domain/container-record.js';
import type { Drain } from '../moves/move.store.js';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from '../containers/container.store.js';
import { ProvisionerConfig } from '../config.js';

const PAGE = 500;

@Injectable()
export class QueryStore {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
  ) {}

  async containers(query: ContainersQuery): Promise<Page<ContainerStatus>> {
    const limit = query.limit ?? PAGE;
    const after = /^\d{1,18}$/.test(query.cursor ?? '') ? query.cursor : '0';
    const rows: ContainerRow[] = await this.source.query(
      `SELECT ${CONTAINER_COLUMNS} FROM containers
        WHERE ordinal > $1 AND ($2::text IS NULL OR tenant = $2) AND ($3::text IS NULL OR name = $3) AND ($4::text IS NULL OR host = $4)
          AND ($5::text IS NULL OR state = $5) AND ($6 OR state <> 'removed' OR $5 = 'removed')
          AND ($8::text IS NULL OR config->>'image' = $8 OR split_part(config->>'image', '@', 1) = $8)
          AND ($9::text IS NULL OR config->>'image' = $9 OR config->'update'->'knownGood'->>'image' = $9 OR $9 = ANY(known_good) OR running_image = $9)
        ORDER BY ordinal LIMIT $7`,
      [
        after,
        query.tenant ?? null,
        query.name ?? null,
        query.host ?? null,
        query.state ?? null,
        query.all ?? false,
        limit + 1,
        query.image ?? null,
        query.needs ?? null,
      ],
    );
    return page(
      rows,
      limit,
      (row) => row.ordinal,
      (row) => statusOf(recordOf(row)),
    );
  }

  /** By id, by the request that made it, or by name (the newest of that name, a living one first). */
  async container(query: ContainerQuery): Promise<ContainerDetails | undefined> {
    const rows: ContainerRow[] = await this.source.query(
      `SELECT ${CONTAINER_COLUMNS} FROM containers
        WHERE ($1::text IS NOT NULL AND id = $1) OR ($2::text IS NOT NULL AND request_id = $2) OR ($3::text IS NOT NULL AND name = $3 AND tenant = $4)
        ORDER BY (state = 'removed'), ordinal DESC LIMIT 1`,
      [query.id ?? null, query.requestId ?? null, query.name ?? null, query.tenant ?? 'default'],
    );
    const row = rows[0];
    if (!row) return undefined;
    const history: { at: Date; kind: ContainerHistoryEntry['kind']; generation: number; message: string | null }[] =
      await this.source.query(
        'SELECT at, kind, generation, message FROM (SELECT * FROM container_history WHERE container_id = $1 ORDER BY ordinal DESC LIMIT 50) h ORDER BY ordinal',
        [row.id],
      );
    return {
      ...statusOf(recordOf(row)),
      config: row.config,
      history: history.map((entry) => ({ ...entry, at: entry.at.toISOString() })),
    };
  }

  async images(name: string | undefined, cursor: string | undefined, limit = PAGE): Promise<Page<ImageSummary>> {
    const rows: ImageJson[] = await this.source.query(
      `SELECT v.*, v.archive_bytes::float8 AS archive, v.unpacked_bytes::float8 AS unpacked, d.version IS NOT NULL AS default_version,
              coalesce(d.version IS NOT NULL AND (SELECT o.name FROM default_os o) = v.name, false) AS default_os,
              (SELECT coalesce(array_agg(m.node ORDER BY m.node), '{}') FROM masters m WHERE m.name = v.name AND m.version = v.version) AS nodes,
              (SELECT count(*)::int FROM containers c WHERE c.state <> 'removed' AND c.config->>'image' = v.name || '@' || v.version) AS containers,
              v.name || '@' || lpad(v.number::text, 10, '0') AS key
         FROM image_versions v LEFT JOIN image_defaults d ON d.name = v.name AND d.version = v.version
        WHERE ($1::text IS NULL OR v.name = $1) AND v.name || '@' || lpad(v.number::text, 10, '0') > $2
        ORDER BY key LIMIT $3`,
      [name ?? null, cursor ?? '', limit + 1],
    );
    return page(rows, limit, (row) => row.key, imageSummary);
  }

  async hosts(cursor: string | undefined, limit = PAGE): Promise<Page<HostStatus>> {
    const rows: HostRow[] = await this.source.query(
      `SELECT h.*, (SELECT count(*)::int FROM containers c WHERE c.host = h.host AND c.state <> 'removed') AS left_over FROM hosts h WHERE h.host > $1 ORDER BY h.host LIMIT $2`,
      [cursor ?? '', limit + 1],
    );
    return page(rows, limit, (row) => row.host, hostStatusOf);
  }

  async storage(cursor: string | undefined, limit = PAGE): Promise<Page<StorageStatus>> {
    const rows: StorageRow[] = await this.source.query(
      `SELECT s.*, s.last_seen_at < now() - make_interval(secs => $3) AS lost,
              (SELECT coalesce(array_agg(m.name || '@' || m.version ORDER BY 1), '{}') FROM masters m WHERE m.node = s.node) AS images,
              (SELECT count(*)::int FROM containers c WHERE c.state <> 'removed' AND c.config->>'storageNode' = s.node) AS volumes
         FROM storage_nodes s WHERE s.node > $1 ORDER BY s.node LIMIT $2`,
      [cursor ?? '', limit + 1, this.config.PLINTH_HOST_LOST_SECONDS],
    );
    return page(
      rows,
      limit,
      (row) => row.node,
      (row) => ({
        node: row.node,
        state: row.lost ? 'lost' : 'ready',
        datacenter: row.datacenter,
        labels: row.labels,
        totalBytes: Number(row.total_bytes),
        freeBytes: Number(row.free_bytes),
        images: row.images,
        volumes: row.volumes,
        lastSeenAt: row.last_seen_at.toISOString(),
      }),
    );
  }
}

interface ImageJson {
  name: string;
  version: string;
  state: ImageSummary['state'];
  content_digest: string | null;
  archive: number | null;
  unpacked: number | null;
  parent: string | null;
  nodes: string[];
  default_version: boolean;
  default_os: boolean;
  containers: number;
  message: string | null;
  at: Date;
  key: string;
}

function imageSummary(row: ImageJson): ImageSummary {
  return {
    name: row.name,
    version: row.version,
    state: row.state,
    contentDigest: row.content_digest,
    archiveBytes: row.archive,
    unpackedBytes: row.unpacked,
    parent: row.parent,
    storageNodes: row.nodes,
    defaultVersion: row.default_version,
    defaultOs: row.default_os,
    containers: row.containers,
    message: row.message,
    at: row.at.toISOString(),
  };
}

interface HostRow {
  host: string;
  state: HostStatus['state'];
  datacenter: string;
  storage_nodes: string[];
  capacity_memory: string;
  capacity_cpus: number;
  capacity_containers: number;
  allocated_memory: string;
  allocated_cpus: number;
  allocated_containers: number;
  load1: number;
  memory_used: string;
  running: number;
  runtime: string;
  last_seen_at: Date;
  cordoned: boolean;
  drain: Drain | null;
  left_over: number;
}

function hostStatusOf(row: HostRow): HostStatus {
  return {
    host: row.host,
    state: row.state,
    cordoned: row.cordoned,
    drain: row.drain && { left: row.left_over, waiting: row.drain.waiting },
    datacenter: row.datacenter,
    storageNodes: row.storage_nodes,
    capacity: {
      memoryBytes: Number(row.capacity_memory),
      cpus: row.capacity_cpus,
      containers: row.capacity_containers,
    },
    allocated: {
      memoryBytes: Number(row.allocated_memory),
      cpus: row.allocated_cpus,
      containers: row.allocated_containers,
    },
    load: { load1: row.load1, memoryUsedBytes: Number(row.memory_used), containers: row.running },
    runtime: row.runtime,
    lastSeenAt: row.last_seen_at.toISOString(),
  };
}

interface StorageRow {
  node: string;
  datacenter: string;
  labels: Record<string, string>;
  total_bytes: string;
  free_bytes: string;
  images: string[];
  volumes: number;
  lost: boolean;
  last_seen_at: Date;
}

/** Keyset pagination: one row more than asked for tells whether there is a next page. */
function page<R, T>(rows: readonly R[], limit: number, key: (row: R) => string, map: (row: R) => T): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown[shown.length - 1];
  return { items: shown.map(map), next: rows.length > limit && last !== undefined ? key(last) : undefined };
}
