/** The containers that a rollout moves. */
import { formatImageRef, parseExactImageRef, type RolloutSelection } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';
import { CONTAINER_COLUMNS, type ContainerRow, recordOf } from '../containers/container.store.js';
import type { ContainerRecord } from '../containers/domain/container-record.js';

/** Takes the hosts in turn, so that a batch is spread over them. */
const SELECTED = `(
  SELECT c.*, row_number() OVER (PARTITION BY c.host ORDER BY c.ordinal) AS turn
    FROM containers c LEFT JOIN hosts h ON h.host = c.host
   WHERE c.state <> 'removed' AND c.config->>'desired' <> 'removed'
     AND ($1::text IS NULL OR c.config->>'image' = $1)
     AND ($2::text IS NULL OR split_part(c.config->>'image', '@', 1) = $2)
     AND ($3::text IS NULL OR c.tenant = $3) AND ($4::text IS NULL OR c.host = $4)
     AND ($5::text IS NULL OR c.config->>'storageNode' = $5)
     AND ($6::text IS NULL OR h.datacenter = $6) AND ($7::text IS NULL OR c.config->>'follow' = $7)
     AND ($8::text[] IS NULL OR c.name = ANY($8) OR c.id = ANY($8))) s`;

export async function selectContainers(
  manager: EntityManager,
  select: RolloutSelection,
): Promise<readonly ContainerRecord[]> {
  const rows: ContainerRow[] = await manager.query(
    `SELECT ${CONTAINER_COLUMNS} FROM ${SELECTED} ORDER BY turn, host`,
    valuesOf(select),
  );
  return rows.map(recordOf);
}

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
              coalesce(config->'update'->'knownGood'->>'image', config->>'image'), $10, 'pending'
         FROM ${SELECTED} ORDER BY turn, host RETURNING 1)
     SELECT count(*)::int AS added FROM added`,
    [...valuesOf(select), rolloutId, to],
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
