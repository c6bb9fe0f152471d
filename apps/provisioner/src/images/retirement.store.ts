/** Reads whether anything needs a version of an image, and records its retirement. */
import type { EntityManager } from 'typeorm';
import type { ImageUses } from './domain/image-retirement.js';
import { STATE_RANK } from './domain/image-read-model.js';

/**
 * Locks the version against every new use: a creation, an update, a rollout or an activation holds its row in share
 * mode until it is committed. A separate statement after this one therefore reads every use.
 * @returns its state
 */
export async function lockVersion(manager: EntityManager, name: string, version: string): Promise<string | undefined> {
  const rows: { state: string }[] = await manager.query(
    'SELECT state FROM image_versions WHERE name = $1 AND version = $2 FOR UPDATE',
    [name, version],
  );
  return rows[0]?.state;
}

/** Reads the uses of a version, which has to be locked. */
export async function loadUses(manager: EntityManager, name: string, version: string): Promise<ImageUses> {
  const rows: ImageUses[] = await manager.query(
    `WITH needing AS (
       SELECT name, config->>'image' = $3 OR coalesce(running_image = $3, false) AS runs,
         coalesce(config->'update'->'knownGood'->>'image' = $3, false) AS returns
         FROM containers
        WHERE state <> 'removed'
          AND (config->>'image' = $3 OR config->'update'->'knownGood'->>'image' = $3 OR $3 = ANY(known_good)
            OR running_image = $3))
     SELECT EXISTS (SELECT 1 FROM image_defaults WHERE name = $1 AND version = $2) AS "isDefault",
            (SELECT count(*)::int FROM needing WHERE runs) AS running,
            (SELECT count(*)::int FROM needing WHERE returns AND NOT runs) AS returning,
            (SELECT count(*)::int FROM needing WHERE NOT returns AND NOT runs) AS "knownGood",
            (SELECT coalesce(array_agg(n.name), '{}') FROM (SELECT name FROM needing
              ORDER BY runs DESC, returns DESC, name LIMIT 5) n) AS examples,
            (SELECT coalesce(array_agg(r.id ORDER BY r.ordinal), '{}') FROM rollouts r
              WHERE r.ended_at IS NULL
                AND (r.target = $3 OR EXISTS (SELECT 1 FROM rollout_members m WHERE m.rollout_id = r.id
                  AND $3 IN (m.from_image, m.to_image)))) AS rollouts`,
    [name, version, `${name}@${version}`],
  );
  const row = rows[0];
  if (!row) throw new Error('the query for the uses of an image returned no row');
  return row;
}

export async function retireVersion(manager: EntityManager, name: string, version: string): Promise<void> {
  await manager.query(
    `UPDATE image_versions SET state = 'retired', rank = $3, message = NULL, at = now(), retirement_told_at = now()
       WHERE name = $1 AND version = $2`,
    [name, version, STATE_RANK.retired],
  );
}

/** How long a storage node has to remove a master before the retirement is published again. */
const TELL_AGAIN_SECONDS = 60;

/** @returns the retired versions whose retirement was not published for a while; they count as published from now on */
export async function retirementsToRepeat(
  manager: EntityManager,
  images: readonly { readonly name: string; readonly version: string }[],
): Promise<readonly { readonly name: string; readonly version: string }[]> {
  if (images.length === 0) return [];
  // Rows that another transaction holds are skipped until the next time: waiting for them with other rows locked could
  // be a deadlock.
  const [rows]: [{ name: string; version: string }[], number] = await manager.query(
    `UPDATE image_versions SET retirement_told_at = now()
      WHERE (name, version) IN (
        SELECT v.name, v.version FROM image_versions v
          JOIN json_to_recordset($1::json) AS i(name text, version text) ON v.name = i.name AND v.version = i.version
         WHERE v.state = 'retired' AND coalesce(v.retirement_told_at < now() - make_interval(secs => $2), true)
           FOR UPDATE OF v SKIP LOCKED)
      RETURNING name, version`,
    [JSON.stringify(images.map(({ name, version }) => ({ name, version }))), TELL_AGAIN_SECONDS],
  );
  return rows;
}
