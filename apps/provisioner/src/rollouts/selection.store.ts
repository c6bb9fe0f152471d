/** The containers that a rollout moves. */
import { formatImageRef, parseExactImageRef, type RolloutSelection } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';

/** Takes the hosts in turn, so that a batch is spread over them. */
const SELECTED = `(
  SELECT c.*, h.own_images IS NOT NULL AS fetches, row_number() OVER (PARTITION BY c.host ORDER BY c.ordinal) AS turn
    FROM containers c LEFT JOIN hosts h ON h.host = c.host
   WHERE c.state <> 'removed' AND c.config->>'desired' <> 'removed'
     AND ($1::text IS NULL OR c.config->>'image' = $1)
     AND ($2::text IS NULL OR split_part(c.config->>'image', '@', 1) = $2)
     AND ($3::text IS NULL OR c.tenant = $3) AND ($4::text IS NULL OR c.host = $4)
     AND ($5::text IS NULL OR c.config->>'storageNode' = $5)
     AND ($6::text IS NULL OR h.datacenter = $6) AND ($7::text IS NULL OR c.config->>'follow' = $7)
     AND ($8::text[] IS NULL OR c.name = ANY($8) OR c.id = ANY($8))) s`;

/** The image to which a container on trial would be reverted is where it comes from, as in `fallbackImage`. */
const ORIGIN = `coalesce(config->'update'->'knownGood'->>'image', config->>'image')`;

/**
 * Makes all selected containers members of the rollout, with one image to go to. The origin of a container that is on
 * trial or being reverted is the image to which it would be reverted, as in `fallbackImage`.
 * @returns how many
 */
export async function insertSelected(
  manager: EntityManager,
  rolloutId: string,
  select: RolloutSelection,
  to: string,
): Promise<number> {
  const rows: { added: number }[] = await manager.query(
    `WITH added AS (
       INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase)
       SELECT $9, (row_number() OVER (ORDER BY turn, host)) - 1, id,
              ${ORIGIN}, $10, 'pending'
         FROM ${SELECTED} ORDER BY turn, host RETURNING 1)
     SELECT count(*)::int AS added FROM added`,
    [...valuesOf(select), rolloutId, to],
  );
  return rows[0]?.added ?? 0;
}

/**
 * Makes all selected containers members of the rollout, each with its own newest known-good image that it can be given
 * and does not have; those without one are skipped. What they may go to stays promoted until the transaction ends. No
 * container is read: what is chosen is the same for all with the same images behind them on the same storage node.
 * @param lostSeconds age from which a storage node counts as lost
 * @param without why a container is skipped, its message with `%1$s` for its name and `%2$s` for its storage node
 * @returns how many
 */
export async function insertKnownGood(
  manager: EntityManager,
  rolloutId: string,
  select: RolloutSelection,
  lostSeconds: number,
  without: { readonly reason: string; readonly message: string },
): Promise<number> {
  const values = valuesOf(select);
  await manager.query(
    `SELECT count(*) FROM (SELECT 1 FROM image_versions v WHERE v.name || '@' || v.version IN (
       SELECT unnest(known_good) FROM ${SELECTED}) FOR SHARE OF v) held`,
    [...values],
  );
  const rows: { added: number }[] = await manager.query(
    `WITH selected AS MATERIALIZED (
       SELECT id, name, host, turn, known_good, config->>'image' AS image, coalesce(config->>'storageNode', '') AS node, fetches,
              ${ORIGIN} AS origin FROM ${SELECTED}),
     servable AS MATERIALIZED (
       SELECT v.name || '@' || v.version AS image, ARRAY(SELECT m.node FROM masters m JOIN storage_nodes n USING (node)
                WHERE m.name = v.name AND m.version = v.version AND m.content_digest = v.content_digest
                  AND n.last_seen_at > now() - make_interval(secs => $10)) AS nodes
         FROM image_versions v WHERE v.state = 'promoted' AND v.content_digest IS NOT NULL),
     kind AS MATERIALIZED (SELECT DISTINCT known_good, image, node, fetches FROM selected),
     chosen AS MATERIALIZED (
       SELECT k.*, (SELECT v.image FROM unnest(k.known_good) WITH ORDINALITY AS good(image, rank)
                      JOIN servable v ON v.image = good.image
                     WHERE good.image <> k.image AND (k.fetches OR k.node = ANY(v.nodes))
                     ORDER BY good.rank LIMIT 1) AS target FROM kind k),
     added AS (
       INSERT INTO rollout_members (rollout_id, ordinal, container_id, from_image, to_image, phase, reason, message)
       SELECT $9, (row_number() OVER (ORDER BY turn, host)) - 1, id, origin, coalesce(target, origin),
              CASE WHEN target IS NULL THEN 'skipped' ELSE 'pending' END, CASE WHEN target IS NULL THEN $11 END,
              CASE WHEN target IS NULL THEN format($12, name, node) END
         FROM selected JOIN chosen USING (known_good, image, node, fetches) ORDER BY turn, host RETURNING 1)
     SELECT count(*)::int AS added FROM added`,
    [...values, rolloutId, lostSeconds, without.reason, without.message],
  );
  return rows[0]?.added ?? 0;
}

function valuesOf(select: RolloutSelection): readonly unknown[] {
  const exact = select.image === undefined ? undefined : parseExactImageRef(select.image);
  return [
    exact ? formatImageRef(exact) : null,
    exact ? null : (select.image ?? null),
    select.tenant ?? null,
    select.host ?? null,
    select.storageNode ?? null,
    select.datacenter ?? null,
    select.follow ?? null,
    select.containers ?? null,
  ];
}
