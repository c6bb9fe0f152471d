/** What is in production, who holds it, and what of it has to be sent. */
import type { ImagePromoted } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { type Promotion, promote, type ServingNode, type VersionInProduction } from './domain/production-state.js';

export interface Version {
  readonly name: string;
  readonly version: string;
}

/** First key of the advisory locks on versions, the second is a hash of the name; the same in every provisioner. */
const VERSION_LOCK = 7_404;

/** The version has to be recorded. Its change is marked. */
export async function recordPromotion(
  manager: EntityManager,
  event: ImagePromoted,
  cause: { readonly id: string; readonly correlationId: string },
): Promise<void> {
  const { name, version } = event;
  const rows: { promotion: Promotion | null }[] = await manager.query(
    'SELECT promotion FROM image_versions WHERE name = $1 AND version = $2 FOR UPDATE',
    [name, version],
  );
  await manager.query('UPDATE image_versions SET promotion = $3 WHERE name = $1 AND version = $2', [
    name,
    version,
    JSON.stringify(promote(rows[0]?.promotion ?? null, event, cause)),
  ]);
}

/** Versions with changes that are due, longest waiting first. */
export async function versionsWithChanges(manager: EntityManager, limit: number): Promise<Version[]> {
  const rows: Version[] = await manager.query(
    `SELECT name, version FROM (SELECT name, version, ordinal FROM production_changes WHERE due <= now()
        ORDER BY ordinal LIMIT 10000) first
      GROUP BY name, version ORDER BY min(ordinal) LIMIT $1`,
    [limit],
  );
  return rows;
}

/** Until the transaction ends. @returns false: another provisioner works on it */
export async function lockProduction(manager: EntityManager, { name, version }: Version): Promise<boolean> {
  const rows: { locked: boolean }[] = await manager.query(
    `SELECT pg_try_advisory_xact_lock(${VERSION_LOCK}, hashtext($1)) AS locked`,
    [`${name}@${version}`],
  );
  return rows[0]?.locked === true;
}

/** What is read after it has at least these changes; what changes later is marked again. */
export async function takeProductionChanges(manager: EntityManager, { name, version }: Version): Promise<void> {
  await manager.query('DELETE FROM production_changes WHERE name = $1 AND version = $2', [name, version]);
}

interface VersionRow extends Omit<VersionInProduction, 'archiveBytes' | 'unpackedBytes'> {
  /** bigint */
  archiveBytes: string | null;
  unpackedBytes: string | null;
  sent: string | null;
  nodes: readonly (ServingNode & { readonly holds: boolean })[];
}

export interface ProductionRead {
  readonly image: VersionInProduction;
  /** In the order in which they are preferred for this version. */
  readonly nodes: readonly ServingNode[];
  readonly holders: ReadonlySet<string>;
  /** Digest of what was sent last; null: nothing. */
  readonly sent: string | null;
}

/** @returns undefined for a version that is not, and was not, in production */
export async function readProduction(
  manager: EntityManager,
  { name, version }: Version,
): Promise<ProductionRead | undefined> {
  const rows: VersionRow[] = await manager.query(
    `SELECT v.name, v.version, v.state, v.promotion, v.content_digest AS "contentDigest", v.architecture,
            v.archive_bytes AS "archiveBytes", v.unpacked_bytes AS "unpackedBytes", v.message AS reason,
            (SELECT digest FROM production_sent p WHERE p.name = v.name AND p.version = v.version) AS sent,
            (SELECT coalesce(json_agg(json_build_object('name', s.node, 'dataCenter', s.datacenter, 'labels', s.labels,
                 'servesAt', s.serves_at, 'holds', s.holds, 'isHost', s.is_host)
                 ORDER BY md5(s.node || ' ' || v.name || '@' || v.version)), '[]')
               FROM (
                 SELECT n.node, n.datacenter, n.labels, n.serves_at, m.node IS NOT NULL AS holds, false AS is_host
                   FROM storage_nodes n LEFT JOIN masters m ON m.name = v.name AND m.version = v.version
                    AND m.node = n.node AND m.content_digest = v.content_digest
                  WHERE n.state = 'ready' AND n.serves_at IS NOT NULL
                 UNION ALL
                 SELECT h.host, h.datacenter, '{}', h.serves_at, true, true FROM hosts h
                  WHERE h.state = 'ready' AND h.serves_at IS NOT NULL AND h.own_images @> ARRAY[v.name || '@' || v.version]
               ) s WHERE v.state = 'promoted') AS nodes
       FROM image_versions v
      WHERE v.name = $1 AND v.version = $2 AND v.state IN ('promoted', 'revoked', 'retired')`,
    [name, version],
  );
  const row = rows[0];
  if (!row) return undefined;
  const { nodes, sent, archiveBytes, unpackedBytes, ...rest } = row;
  return {
    image: {
      ...rest,
      archiveBytes: archiveBytes === null ? null : Number(archiveBytes),
      unpackedBytes: unpackedBytes === null ? null : Number(unpackedBytes),
    },
    nodes: nodes.map(({ name: node, dataCenter, labels, servesAt, isHost }) => ({
      ...{ name: node, dataCenter, labels, servesAt, isHost },
    })),
    holders: new Set(nodes.flatMap(({ name: node, holds }) => (holds ? [node] : []))),
    sent,
  };
}

export async function markSent(manager: EntityManager, { name, version }: Version, digest: string): Promise<void> {
  await manager.query(
    `INSERT INTO production_sent (name, version, digest) VALUES ($1, $2, $3)
     ON CONFLICT (name, version) DO UPDATE SET digest = $3`,
    [name, version, digest],
  );
}

/** Everything is sent again: the bus has lost it. */
export async function markAllProduction(manager: EntityManager): Promise<void> {
  await manager.query('DELETE FROM production_sent');
  await manager.query(
    `INSERT INTO production_changes (name, version, due)
       SELECT name, version, now() FROM image_versions WHERE state IN ('promoted', 'revoked', 'retired')`,
  );
}
