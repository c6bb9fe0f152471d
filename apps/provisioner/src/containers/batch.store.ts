/** What a batch of requests reads and writes of containers, each in one statement. */
import type { PlacementRecord } from '@plinth/contracts';
import { queryPrepared } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';
import { packed } from '../placement/domain/placement-record.js';
import type { ContainerRecord } from './domain/container-record.js';
import { nameKey } from './domain/batch-plan.js';

/** Digests of requests that containers were made for, by request id. */
export async function findRequests(
  manager: EntityManager,
  requestIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (requestIds.length === 0) return new Map();
  const rows: { id: string; digest: string }[] = await manager.query(
    'SELECT request_id AS id, request_digest AS digest FROM containers WHERE request_id = ANY($1::text[])',
    [requestIds],
  );
  return new Map(rows.map(({ id, digest }) => [id, digest]));
}

export interface NameOfTenant {
  readonly tenant: string;
  readonly name: string;
}

/** {@link nameKey} of those that containers have. */
export async function takenNames(manager: EntityManager, names: readonly NameOfTenant[]): Promise<readonly string[]> {
  if (names.length === 0) return [];
  const rows: NameOfTenant[] = await manager.query(
    `SELECT c.tenant, c.name FROM unnest($1::text[], $2::text[]) AS w(tenant, name)
       JOIN containers c ON c.tenant = w.tenant AND c.name = w.name AND c.state <> 'removed'`,
    [names.map(({ tenant }) => tenant), names.map(({ name }) => name)],
  );
  return rows.map(({ tenant, name }) => nameKey(tenant, name));
}

export interface NewContainer {
  readonly record: ContainerRecord;
  readonly placement: PlacementRecord;
  readonly requestId: string;
  readonly requestDigest: string;
}

/** @returns how many were made; fewer: a name was taken meanwhile, and the transaction has to be rolled back */
export async function insertContainers(manager: EntityManager, made: readonly NewContainer[]): Promise<number> {
  if (made.length === 0) return 0;
  const rows = await queryPrepared<{ made: number }>(
    manager,
    // Names in one order everywhere: two transactions that want the same ones wait for each other in one direction.
    `WITH made AS (
       INSERT INTO containers (id, tenant, name, request_id, request_digest, state, host, memory_bytes, cpus, config,
         requested_at, placement)
       SELECT id, tenant, name, request_id, request_digest, state, host, memory_bytes, cpus, config::jsonb, requested_at,
           placement::json
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
           $9::float8[], string_to_array($10, chr(10)), $11::timestamptz[], string_to_array($12, chr(10))) AS c(id, tenant, name, request_id, request_digest,
           state, host, memory_bytes, cpus, config, requested_at, placement)
        ORDER BY tenant, name
       ON CONFLICT (tenant, name) WHERE state <> 'removed' DO NOTHING RETURNING id),
     noted AS (
       INSERT INTO container_history (container_id, at, kind, generation) SELECT id, now(), 'configured', 1 FROM made)
     SELECT count(*)::int AS made FROM made`,
    [
      made.map(({ record }) => record.id),
      made.map(({ record }) => record.config.tenant),
      made.map(({ record }) => record.config.name),
      made.map(({ requestId }) => requestId),
      made.map(({ requestDigest }) => requestDigest),
      made.map(({ record }) => record.state),
      made.map(({ record }) => record.config.host),
      made.map(({ record }) => record.config.limits.memoryBytes),
      made.map(({ record }) => record.config.limits.cpus),
      lines(made.map(({ record }) => record.config)),
      made.map(({ record }) => record.requestedAt),
      lines(made.map(({ placement }) => packed(placement))),
    ],
  );
  return rows[0]?.made ?? 0;
}

/** JSON has no line break of its own: nothing is escaped, and read back, as in a list of texts. */
function lines(values: readonly object[]): string {
  return values.map((value) => JSON.stringify(value)).join('\n');
}
