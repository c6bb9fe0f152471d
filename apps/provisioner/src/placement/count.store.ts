/**
 * Numbers that are kept, so that nobody counts all rows: of containers of a tenant, on a storage node, on an image, and
 * of the members of a rollout. Triggers add the changes (postgres/counts-migration.ts).
 */
import type { EntityManager } from 'typeorm';

export type CountKind = 'tenant' | 'node' | 'image' | 'rollout';

export interface KeptCount {
  readonly n: number;
  /** Memory of a tenant's containers. */
  readonly bytes: number;
}

/** A number that is not what a count of all rows gives. */
export interface Drift extends KeptCount {
  readonly kind: CountKind;
  readonly about: string;
}

/** Changes that one transaction folds. */
const PIECE = 20_000;
/** Key of the advisory lock of the process that folds; arbitrary, but the same in every provisioner. */
const FOLD_LOCK = 7_408;
/** As {@link FOLD_LOCK}, of the process that counts all rows. */
const CHECK_LOCK = 7_409;

/** What is counted under the names; a name that is absent: none. */
export async function keptCounts(
  manager: EntityManager,
  kind: CountKind,
  names: readonly string[],
): Promise<ReadonlyMap<string, KeptCount>> {
  const rows: { about: string; n: string; bytes: string }[] = await manager.query(
    `SELECT about, sum(n) AS n, sum(bytes) AS bytes FROM (
       SELECT about, n, bytes FROM kept_counts WHERE kind = $1 AND about = ANY($2::text[])
       UNION ALL SELECT about, n, bytes FROM count_changes WHERE kind = $1 AND about = ANY($2::text[])) numbers
      GROUP BY about`,
    [kind, names],
  );
  return new Map(rows.map(({ about, n, bytes }) => [about, { n: Number(n), bytes: Number(bytes) }]));
}

/** The number for one row of a query, as SQL. @param about an expression of the query, never a value */
export function keptCount(kind: CountKind, about: string): string {
  return `(SELECT coalesce(sum(n), 0)::int FROM (
     SELECT k.n FROM kept_counts k WHERE k.kind = '${kind}' AND k.about = ${about}
     UNION ALL SELECT d.n FROM count_changes d WHERE d.kind = '${kind}' AND d.about = ${about}) numbers)`;
}

/** @returns whether there are more changes to fold; one process at a time does it */
export async function foldCounts(manager: EntityManager): Promise<boolean> {
  const rows: { folded: number }[] = await manager.query(
    `WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(${FOLD_LOCK}) AS locked),
     gone AS (
       DELETE FROM count_changes USING mine WHERE locked
          AND ordinal IN (SELECT ordinal FROM count_changes ORDER BY ordinal LIMIT ${PIECE}) RETURNING kind, about, n, bytes),
     folded AS (
       INSERT INTO kept_counts AS k (kind, about, n, bytes)
         SELECT kind, about, sum(n), sum(bytes) FROM gone GROUP BY kind, about
       ON CONFLICT (kind, about) DO UPDATE SET n = k.n + excluded.n, bytes = k.bytes + excluded.bytes)
     SELECT count(*)::int AS folded FROM gone`,
  );
  const folded = rows[0]?.folded ?? 0;
  if (folded > 0 && folded < PIECE) await manager.query('DELETE FROM kept_counts WHERE n = 0 AND bytes = 0');
  return folded === PIECE;
}

/**
 * Counts all rows, and corrects what is kept; one process after the other, so that each sees what those before have
 * corrected.
 * @returns what was wrong, and by how much
 */
export async function correctCounts(manager: EntityManager): Promise<readonly Drift[]> {
  const rows = await manager.transaction(
    async (own): Promise<{ kind: CountKind; about: string; n: string; bytes: string }[]> => {
      await own.query(`SELECT pg_advisory_xact_lock(${CHECK_LOCK})`);
      return own.query(
        `INSERT INTO count_changes (kind, about, n, bytes) SELECT * FROM count_drift() RETURNING kind, about, n, bytes`,
      );
    },
  );
  return rows.map((row) => ({ ...row, n: Number(row.n), bytes: Number(row.bytes) }));
}
