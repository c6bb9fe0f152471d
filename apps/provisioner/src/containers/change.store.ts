/** Changes of containers' configs that their hosts have not reported yet, and the room that a change needs. */
import type { ChangeablePart, HostLimit } from '@plinth/contracts';
import type { EntityManager } from 'typeorm';

export interface OpenChange {
  readonly requestId: string;
  readonly parts: readonly ChangeablePart[];
}

/** Limits that the host can't hold, as far as is known. */
export async function missingLimitsOf(manager: EntityManager, host: string): Promise<readonly HostLimit[]> {
  const rows: { missing_limits: HostLimit[] }[] = await manager.query(
    'SELECT missing_limits FROM hosts WHERE host = $1',
    [host],
  );
  return rows[0]?.missing_limits ?? [];
}

export async function openChange(
  manager: EntityManager,
  containerId: string,
  generation: number,
  { requestId, parts }: OpenChange,
): Promise<void> {
  await manager.query(
    'INSERT INTO container_changes (container_id, generation, request_id, parts) VALUES ($1, $2, $3, $4)',
    [containerId, generation, requestId, parts],
  );
}

/** Deletes them. @returns the changes up to this generation, oldest first */
export async function closeChanges(
  manager: EntityManager,
  containerId: string,
  generation: number,
): Promise<readonly OpenChange[]> {
  const rows: OpenChange[] = await manager.query(
    `WITH closed AS (
       DELETE FROM container_changes WHERE container_id = $1 AND generation <= $2
         RETURNING generation, request_id, parts)
     SELECT request_id AS "requestId", parts FROM closed ORDER BY generation`,
    [containerId, generation],
  );
  return rows;
}

/** As {@link closeChanges} for many containers. @returns the changes by container */
export async function closeAllChanges(
  manager: EntityManager,
  answers: readonly { readonly containerId: string; readonly generation: number }[],
): Promise<ReadonlyMap<string, readonly OpenChange[]>> {
  const closed = new Map<string, OpenChange[]>();
  if (answers.length === 0) return closed;
  const rows: (OpenChange & { readonly id: string })[] = await manager.query(
    `WITH closed AS (
       DELETE FROM container_changes c USING unnest($1::text[], $2::int[]) AS a(id, generation)
        WHERE c.container_id = a.id AND c.generation <= a.generation
        RETURNING c.container_id, c.generation, c.request_id, c.parts)
     SELECT container_id AS id, request_id AS "requestId", parts FROM closed ORDER BY container_id, generation`,
    [answers.map(({ containerId }) => containerId), answers.map(({ generation }) => generation)],
  );
  for (const { id, ...change } of rows) closed.set(id, [...(closed.get(id) ?? []), change]);
  return closed;
}

interface Sizes {
  readonly memoryBytes: number;
  readonly cpus: number;
}

/** Reserves, or releases, what the container needs more, or less, on its host. @returns false: there is no room */
export async function resize(
  manager: EntityManager,
  { id, host }: { readonly id: string; readonly host: string },
  before: Sizes,
  after: Sizes,
  cpuOvercommit: number,
): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `WITH taken AS (
       UPDATE hosts SET allocated_memory = greatest(0, allocated_memory + $2::bigint),
           allocated_cpus = greatest(0, allocated_cpus + $3::float8)
        WHERE host = $1 AND ($2::bigint <= 0 OR allocated_memory + $2::bigint <= capacity_memory)
          AND ($3::float8 <= 0 OR allocated_cpus + $3::float8 <= capacity_cpus * $4::float8 + 1e-9)
        RETURNING host),
     sized AS (UPDATE containers SET memory_bytes = $6, cpus = $7 FROM taken WHERE id = $5 RETURNING id)
     SELECT id FROM sized`,
    [
      host,
      after.memoryBytes - before.memoryBytes,
      after.cpus - before.cpus,
      cpuOvercommit,
      id,
      after.memoryBytes,
      after.cpus,
    ],
  );
  return rows.length === 1;
}
