/** The read model of images, masters and defaults. */
import { type ImageState, versionNumber } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { STATE_RANK } from './domain/image-read-model.js';

export interface ImageChange {
  readonly name: string;
  readonly version: string;
  readonly state: ImageState;
  readonly contentDigest?: string;
  readonly archiveBytes?: number;
  readonly unpackedBytes?: number;
  readonly parent?: string;
  readonly architecture?: string | undefined;
  readonly message?: string;
}

/** Fields are filled in as they become known; the state only moves forward, in any order of the facts. */
export async function recordImage(manager: EntityManager, change: ImageChange): Promise<void> {
  await manager.query(
    `INSERT INTO image_versions (name, version, number, state, rank, content_digest, archive_bytes, unpacked_bytes,
       parent, message, architecture)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (name, version) DO UPDATE SET
       state = CASE WHEN excluded.rank > image_versions.rank THEN excluded.state ELSE image_versions.state END,
       message = CASE WHEN excluded.rank > image_versions.rank THEN excluded.message ELSE image_versions.message END,
       rank = greatest(image_versions.rank, excluded.rank),
       content_digest = coalesce(excluded.content_digest, image_versions.content_digest),
       archive_bytes = coalesce(excluded.archive_bytes, image_versions.archive_bytes),
       unpacked_bytes = coalesce(excluded.unpacked_bytes, image_versions.unpacked_bytes),
       parent = coalesce(excluded.parent, image_versions.parent),
       architecture = coalesce(excluded.architecture, image_versions.architecture),
       at = now()`,
    [
      change.name,
      change.version,
      versionNumber(change.version),
      change.state,
      STATE_RANK[change.state],
      change.contentDigest ?? null,
      change.archiveBytes ?? null,
      change.unpackedBytes ?? null,
      change.parent ?? null,
      change.message ?? null,
      change.architecture ?? null,
    ],
  );
}

export async function recordMaster(
  manager: EntityManager,
  node: string,
  name: string,
  version: string,
  contentDigest: string,
): Promise<void> {
  await manager.query(
    `INSERT INTO masters (name, version, node, content_digest) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name, version, node) DO UPDATE SET content_digest = $4, seen_at = now()`,
    [name, version, node, contentDigest],
  );
}

export async function forgetMaster(manager: EntityManager, node: string, name: string, version: string): Promise<void> {
  await manager.query('DELETE FROM masters WHERE name = $1 AND version = $2 AND node = $3', [name, version, node]);
}

/** Locks the row until the transaction ends, so that the version is not retired meanwhile. */
export async function holdImage(
  manager: EntityManager,
  name: string,
  version: string,
): Promise<{ state: string; masters: number; ownStores: number } | undefined> {
  const rows: { state: string; masters: number; ownStores: number }[] = await manager.query(
    `SELECT v.state, (SELECT count(*)::int FROM masters m WHERE m.name = v.name AND m.version = v.version
       AND m.content_digest = v.content_digest) AS masters,
            (SELECT count(*)::int FROM (SELECT 1 FROM hosts WHERE own_images IS NOT NULL AND state <> 'lost' LIMIT 1) h)
              AS "ownStores"
       FROM image_versions v WHERE v.name = $1 AND v.version = $2 FOR SHARE OF v`,
    [name, version],
  );
  return rows[0];
}

/** Whether containers that name no image get one of this name. */
export async function isDefaultOs(manager: EntityManager, name: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT 1 FROM default_os WHERE name = $1', [name]);
  return rows.length > 0;
}

/** @returns the version that was the default of this name */
export async function setDefault(
  manager: EntityManager,
  name: string,
  version: string,
  defaultOs: boolean,
): Promise<string | undefined> {
  const before: { version: string }[] = await manager.query(
    'SELECT version FROM image_defaults WHERE name = $1 FOR UPDATE',
    [name],
  );
  await manager.query(
    'INSERT INTO image_defaults (name, version) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET version = $2',
    [name, version],
  );
  if (defaultOs)
    await manager.query('INSERT INTO default_os (name) VALUES ($1) ON CONFLICT (singleton) DO UPDATE SET name = $1', [
      name,
    ]);
  return before[0]?.version;
}
