/** Which versions hosts are asked to hold, and what of it they have to be sent. */
import type { ImageCacheOperation, Labels } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { PIN_RULES_LOCK } from '../postgres/pin-rules-migration.js';
import type { HostWishes } from './domain/host-images.js';

/** Advisory lock of the one provisioner that sends hosts what they are to hold. */
const HOST_IMAGES_LOCK = 7_405;

/** Locks the version until the transaction ends. @returns undefined: there is none */
export async function stateOfVersion(
  manager: EntityManager,
  name: string,
  version: string,
): Promise<string | undefined> {
  const rows: { state: string }[] = await manager.query(
    'SELECT state FROM image_versions WHERE name = $1 AND version = $2 FOR SHARE',
    [name, version],
  );
  return rows[0]?.state;
}

export interface AskedHost {
  readonly host: string;
  readonly hasStore: boolean;
}

/** @param hosts absent: every host that has all of the labels and a store of its own */
export async function askedHosts(
  manager: EntityManager,
  hosts: readonly string[] | undefined,
  labels: Labels,
): Promise<readonly AskedHost[]> {
  const rows: AskedHost[] = await manager.query(
    `SELECT host, own_images IS NOT NULL AS "hasStore" FROM hosts
      WHERE CASE WHEN $1::text[] IS NULL
        THEN own_images IS NOT NULL AND (labels || labels_set
          || jsonb_build_object('host', host, 'datacenter', datacenter)) @> $2::jsonb
        ELSE host = ANY($1) END
      ORDER BY host`,
    [hosts ?? null, JSON.stringify(labels)],
  );
  return rows;
}

/** From here until the transaction ends no host gets pins by rules: those that join meanwhile get them after it. */
export async function lockPinRules(manager: EntityManager): Promise<void> {
  await manager.query(`SELECT pg_advisory_xact_lock(${PIN_RULES_LOCK})`);
}

/** For hosts that come under the labels later. @param labels empty: all hosts */
export async function addPinRule(manager: EntityManager, image: string, labels: Labels): Promise<void> {
  await manager.query('INSERT INTO image_pin_rules (image, labels) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    image,
    JSON.stringify(labels),
  ]);
}

/** @param labels empty: all rules of the image go */
export async function removePinRules(manager: EntityManager, image: string, labels: Labels): Promise<void> {
  await manager.query("DELETE FROM image_pin_rules WHERE image = $1 AND ($2::jsonb = '{}' OR labels = $2::jsonb)", [
    image,
    JSON.stringify(labels),
  ]);
}

const KINDS: Readonly<Record<Exclude<ImageCacheOperation, 'unpin'>, string>> = {
  prefetch: 'prefetch',
  pin: 'pin',
  evict: 'evict',
};

/** @returns for how many hosts something changed */
export async function changeWishes(
  manager: EntityManager,
  operation: ImageCacheOperation,
  image: string,
  hosts: readonly string[],
): Promise<number> {
  if (operation === 'unpin') {
    const [, removed]: [unknown, number] = await manager.query(
      `DELETE FROM host_image_wishes WHERE image = $1 AND kind = 'pin' AND host = ANY($2)`,
      [image, hosts],
    );
    return removed;
  }
  const rows: unknown[] = await manager.query(
    // What is pinned is fetched anyway.
    `INSERT INTO host_image_wishes (host, image, kind)
       SELECT h.host, $1, $2 FROM hosts h WHERE h.host = ANY($3) ORDER BY h.host
     ON CONFLICT (host, image) DO UPDATE SET kind = excluded.kind, at = now()
       WHERE host_image_wishes.kind <> excluded.kind
         AND NOT (host_image_wishes.kind = 'pin' AND excluded.kind = 'prefetch')
     RETURNING host`,
    [image, KINDS[operation], hosts],
  );
  return rows.length;
}

/** The host has removed the version. */
export async function forgetEviction(manager: EntityManager, host: string, image: string): Promise<void> {
  await manager.query(`DELETE FROM host_image_wishes WHERE host = $1 AND image = $2 AND kind = 'evict'`, [host, image]);
}

/** Days after which a failure that was not followed by anything is forgotten. */
const FAILURE_DAYS = 7;

/** The host could not fetch the version. */
export async function noteFetchFailure(
  manager: EntityManager,
  host: string,
  image: string,
  reason: string,
): Promise<void> {
  await manager.query(
    `DELETE FROM host_image_failures WHERE host = $1 AND at < now() - interval '${FAILURE_DAYS} days'`,
    [host],
  );
  await manager.query(
    `INSERT INTO host_image_failures (host, image, reason) VALUES ($1, $2, $3)
     ON CONFLICT (host, image) DO UPDATE SET reason = $3, at = now()`,
    [host, image, reason],
  );
}

/** The host has the version, or has removed it. */
export async function forgetFetchFailure(manager: EntityManager, host: string, image: string): Promise<void> {
  await manager.query('DELETE FROM host_image_failures WHERE host = $1 AND image = $2', [host, image]);
}

/** Until the transaction ends. @returns false: another provisioner does it */
export async function lockHostImages(manager: EntityManager): Promise<boolean> {
  const rows: { locked: boolean }[] = await manager.query(
    `SELECT pg_try_advisory_xact_lock(${HOST_IMAGES_LOCK}) AS locked`,
  );
  return rows[0]?.locked === true;
}

/** Hosts with changes, longest waiting first; what changes later is marked again. */
export async function takeHostChanges(manager: EntityManager, limit: number): Promise<readonly string[]> {
  const rows: { host: string }[] = await manager.query(
    `WITH first AS (SELECT host FROM (SELECT host, ordinal FROM host_image_changes ORDER BY ordinal LIMIT 10000) f
        GROUP BY host ORDER BY min(ordinal) LIMIT $1),
     taken AS (DELETE FROM host_image_changes WHERE host IN (SELECT host FROM first))
     SELECT host FROM first`,
    [limit],
  );
  return rows.map(({ host }) => host);
}

interface WishesRow extends HostWishes {
  sent: string | null;
}

export interface SentWishes {
  readonly wishes: HostWishes;
  /** Digest of what was sent last; null: nothing. */
  readonly sent: string | null;
}

/** Of hosts with a store of their own. */
export async function readWishes(manager: EntityManager, hosts: readonly string[]): Promise<readonly SentWishes[]> {
  const wished = (kind: string): string =>
    `coalesce((SELECT array_agg(w.image) FROM host_image_wishes w
       JOIN image_versions v ON v.name = split_part(w.image, '@', 1) AND v.version = split_part(w.image, '@', 2)
      WHERE w.host = h.host AND w.kind = '${kind}' AND v.state = 'promoted'), '{}')`;
  const rows: WishesRow[] = await manager.query(
    `SELECT h.host, ${wished('pin')} AS pin, ${wished('prefetch')} AS prefetch,
            coalesce((SELECT array_agg(w.image) FROM host_image_wishes w
              WHERE w.host = h.host AND w.kind = 'evict' AND w.image = ANY(h.own_images)), '{}') AS evict,
            coalesce((SELECT array_agg(d.name || '@' || d.version) FROM default_os o JOIN image_defaults d USING (name)
              JOIN image_versions v USING (name, version) WHERE v.state = 'promoted'), '{}') AS default,
            coalesce((SELECT array_agg(DISTINCT m.to_image) FROM rollouts r
              JOIN containers c ON c.host = h.host AND c.state <> 'removed'
              JOIN rollout_members m ON m.rollout_id = r.id AND m.container_id = c.id
              JOIN image_versions v ON v.name = split_part(m.to_image, '@', 1)
                AND v.version = split_part(m.to_image, '@', 2) AND v.state = 'promoted'
              WHERE r.ended_at IS NULL AND m.phase = 'pending'), '{}') AS rollout,
            (SELECT digest FROM host_images_sent s WHERE s.host = h.host) AS sent
       FROM hosts h WHERE h.host = ANY($1) AND h.own_images IS NOT NULL`,
    [hosts],
  );
  return rows.map(({ sent, ...wishes }) => ({ wishes, sent }));
}

export async function markWishesSent(manager: EntityManager, host: string, digest: string): Promise<void> {
  await manager.query(
    `INSERT INTO host_images_sent (host, digest) VALUES ($1, $2) ON CONFLICT (host) DO UPDATE SET digest = $2`,
    [host, digest],
  );
}

/** Seconds in which a heartbeat may still be older than the request. */
const HEARTBEAT_LAG_SECONDS = 30;

/** Evictions of versions that the hosts do not have: their report was lost, or they never had it. */
export async function forgetDoneEvictions(manager: EntityManager, hosts: readonly string[]): Promise<void> {
  await manager.query(
    `DELETE FROM host_image_wishes w USING hosts h
      WHERE w.host = h.host AND h.host = ANY($1) AND w.kind = 'evict' AND NOT w.image = ANY(coalesce(h.own_images, '{}'))
        AND w.at < now() - interval '${HEARTBEAT_LAG_SECONDS} seconds'`,
    [hosts],
  );
}

/** Every host is sent it again: the bus has lost it. */
export async function markAllHostImages(manager: EntityManager): Promise<void> {
  await manager.query('DELETE FROM host_images_sent');
  await manager.query('INSERT INTO host_image_changes (host) SELECT host FROM hosts WHERE own_images IS NOT NULL');
}
