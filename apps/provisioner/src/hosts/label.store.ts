/** Labels that operators set; those that the host's agent reports are beside them. */
import type { Labels } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';

/** @returns the labels in effect; nothing is changed when there is no such host, or it would have more than `most` */
export async function changeLabels(
  manager: EntityManager,
  host: string,
  set: Labels,
  remove: readonly string[],
  most: number,
): Promise<Labels | 'host-not-found' | 'too-many-labels'> {
  const found: unknown[] = await manager.query('SELECT 1 FROM hosts WHERE host = $1 FOR UPDATE', [host]);
  if (found.length === 0) return 'host-not-found';
  const [rows]: [{ labels: Record<string, string> }[], number] = await manager.query(
    `UPDATE hosts SET labels_set = (labels_set - $3::text[]) || $2::jsonb
      WHERE host = $1
        AND (SELECT count(*) FROM jsonb_object_keys(labels || (labels_set - $3::text[]) || $2::jsonb)) <= $4
      RETURNING labels || labels_set AS labels`,
    [host, JSON.stringify(set), remove, most],
  );
  return rows[0]?.labels ?? 'too-many-labels';
}
