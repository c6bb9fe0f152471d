/** Reads the images that an update needs. */
import type { EntityManager } from 'typeorm';
import type { UpdateCandidate, UpdateCatalogue } from './domain/image-update.js';

/**
 * @param names of images
 * @param hosts of the containers in question
 * @param lostSeconds age from which a storage node counts as lost
 */
export async function loadUpdateCatalogue(
  manager: EntityManager,
  names: readonly string[],
  hosts: readonly string[],
  lostSeconds: number,
): Promise<UpdateCatalogue> {
  const candidates: UpdateCandidate[] = await manager.query(
    `SELECT v.name || '@' || v.version AS image, v.state, v.content_digest AS "contentDigest",
            (SELECT coalesce(array_agg(m.node), '{}') FROM masters m JOIN storage_nodes s ON s.node = m.node
              WHERE m.name = v.name AND m.version = v.version AND m.content_digest = v.content_digest
                AND s.last_seen_at > now() - make_interval(secs => $2)) AS "storageNodes"
       FROM image_versions v WHERE v.name = ANY($1) FOR SHARE OF v`,
    [names, lostSeconds],
  );
  const rows: { name: string; version: string }[] = await manager.query(
    'SELECT name, version FROM image_defaults WHERE name = ANY($1)',
    [names],
  );
  const own: { host: string }[] = await manager.query(
    'SELECT host FROM hosts WHERE host = ANY($1::text[]) AND own_images IS NOT NULL',
    [[...new Set(hosts)]],
  );
  return {
    candidates,
    ownStores: new Set(own.map(({ host }) => host)),
    defaults: Object.fromEntries(rows.map(({ name, version }) => [name, version])),
  };
}
