/** Answers for people: lists in pages, one container with its history. */
import { Injectable } from '@nestjs/common';
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
  TenantDetails,
} from '@plinth/contracts';
import type { DataSource } from 'typeorm';
import { statusOf } from '../containers/domain/container-record.js';
import { tenantDetails } from '../network/tenant-egress.store.js';
import { type PackedPlacement, unpacked } from '../placement/domain/placement-record.js';
import { hostStatuses, storageStatuses } from '../placement/node-status.store.js';
import { DEFAULT_TENANT } from '../containers/domain/container-config.js';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from '../containers/container.store.js';

const PAGE = 500;

interface PlacedRow extends ContainerRow {
  placement: PackedPlacement | null;
}

@Injectable()
export class QueryStore {
  constructor(@InjectDataSource() private readonly source: DataSource) {}

  async containers(query: ContainersQuery): Promise<Page<ContainerStatus>> {
    const limit = query.limit ?? PAGE;
    const { conditions, values } = containerFilter(query);
    const rows: ContainerRow[] = await this.source.query(
      `SELECT ${CONTAINER_COLUMNS} FROM containers WHERE ${conditions.join(' AND ')} ORDER BY ordinal LIMIT ${limit + 1}`,
      values,
    );
    return page(
      rows,
      limit,
      (row) => row.ordinal,
      (row) => statusOf(recordOf(row)),
    );
  }

  /**
   * Finds a container by id, by the request that made it, or by name (the newest of that name, one that is not removed
   * first).
   */
  async container(query: ContainerQuery): Promise<ContainerDetails | undefined> {
    const row = await this.find(query);
    if (!row) return undefined;
    const history: { at: Date; kind: ContainerHistoryEntry['kind']; generation: number; message: string | null }[] =
      await this.source.query(
        `SELECT at, kind, generation, message
         FROM (SELECT * FROM container_history WHERE container_id = $1 ORDER BY ordinal DESC LIMIT 50) h
        ORDER BY ordinal`,
        [row.id],
      );
    return {
      ...statusOf(recordOf(row)),
      config: row.config,
      failedChecks: row.failed_checks,
      placement: row.placement && unpacked(row.placement),
      history: history.map((entry) => ({ ...entry, at: entry.at.toISOString() })),
    };
  }

  private async find({ id, requestId, name, tenant = DEFAULT_TENANT }: ContainerQuery): Promise<PlacedRow | undefined> {
    // Each by an index of its own.
    const ways: [string, string[]][] = [];
    if (id !== undefined) ways.push(['id = $1', [id]]);
    if (requestId !== undefined) ways.push(['request_id = $1', [requestId]]);
    if (name !== undefined)
      ways.push(
        [`tenant = $1 AND name = $2 AND state <> 'removed'`, [tenant, name]],
        ['tenant = $1 AND name = $2', [tenant, name]],
      );
    for (const [condition, values] of ways) {
      const rows: PlacedRow[] = await this.source.query(
        `SELECT ${CONTAINER_COLUMNS}, placement FROM containers WHERE ${condition} ORDER BY ordinal DESC LIMIT 1`,
        values,
      );
      if (rows[0]) return rows[0];
    }
    return undefined;
  }

  tenant(tenant: string): Promise<TenantDetails> {
    return tenantDetails(this.source.manager, tenant);
  }

  async images(name: string | undefined, cursor: string | undefined, limit = PAGE): Promise<Page<ImageSummary>> {
    const rows: ImageJson[] = await this.source.query(
      `SELECT v.*, v.archive_bytes::float8 AS archive, v.unpacked_bytes::float8 AS unpacked,
              d.version IS NOT NULL AS default_version,
              coalesce(d.version IS NOT NULL AND (SELECT o.name FROM default_os o) = v.name, false) AS default_os,
              (SELECT coalesce(array_agg(m.node ORDER BY m.node), '{}') FROM masters m WHERE m.name = v.name
                AND m.version = v.version) AS nodes,
              (SELECT count(*)::int FROM containers c WHERE c.state <> 'removed'
                AND c.config->>'image' = v.name || '@' || v.version) AS containers,
              v.name || '@' || lpad(v.number::text, 10, '0') AS key
         FROM image_versions v LEFT JOIN image_defaults d ON d.name = v.name AND d.version = v.version
        WHERE ($1::text IS NULL OR v.name = $1) AND v.name || '@' || lpad(v.number::text, 10, '0') > $2
        ORDER BY key LIMIT $3`,
      [name ?? null, cursor ?? '', limit + 1],
    );
    return page(rows, limit, (row) => row.key, imageSummary);
  }

  async hosts(cursor: string | undefined, limit = PAGE): Promise<Page<HostStatus>> {
    const rows = await hostStatuses(this.source.manager, { after: cursor, limit: limit + 1 });
    return page(rows, limit, ({ host }) => host, same);
  }

  async storage(cursor: string | undefined, limit = PAGE): Promise<Page<StorageStatus>> {
    const rows = await storageStatuses(this.source.manager, { after: cursor, limit: limit + 1 });
    return page(rows, limit, ({ node }) => node, same);
  }
}

/** Only the conditions that are asked for, so that the database sees which index serves. */
function containerFilter(query: ContainersQuery): { conditions: readonly string[]; values: readonly string[] } {
  const values: string[] = [];
  const value = (text: string): string => `$${values.push(text)}`;
  const conditions = [`ordinal > ${value(/^\d{1,18}$/.test(query.cursor ?? '') ? (query.cursor ?? '0') : '0')}`];
  for (const column of ['tenant', 'name', 'host', 'state'] as const) {
    const wanted = query[column];
    if (wanted !== undefined) conditions.push(`${column} = ${value(wanted)}`);
  }
  if (!query.all && query.state !== 'removed') conditions.push(`state <> 'removed'`);
  // The digits of an id are all before g.
  if (query.idPrefix !== undefined)
    conditions.push(`id >= ${value(query.idPrefix)} AND id < ${value(`${query.idPrefix}g`)}`);
  if (query.image !== undefined)
    conditions.push(
      query.image.includes('@')
        ? `config->>'image' = ${value(query.image)}`
        : `split_part(config->>'image', '@', 1) = ${value(query.image)}`,
    );
  if (query.needs !== undefined) {
    const image = value(query.needs);
    conditions.push(
      `(config->>'image' = ${image} OR config->'update'->'knownGood'->>'image' = ${image}
         OR ${image} = ANY(known_good) OR running_image = ${image})`,
    );
  }
  return { conditions, values };
}

const same = <T>(row: T): T => row;

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

/** Keyset pagination: one row more than requested shows whether there is a next page. */
function page<R, T>(rows: readonly R[], limit: number, key: (row: R) => string, map: (row: R) => T): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown[shown.length - 1];
  return { items: shown.map(map), next: rows.length > limit && last !== undefined ? key(last) : undefined };
}
