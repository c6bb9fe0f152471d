/** Requests that were taken off the bus and wait for their decision, in the order in which they came, by tenant. */
import type { ContainerRequested } from '@plinth/contracts';
import type { ReceivedEvent } from '@plinth/service-kit';
import type { EntityManager } from 'typeorm';

export type Request = ReceivedEvent<ContainerRequested>;

export interface WaitingRequest {
  readonly ordinal: string;
  readonly tenant: string;
  readonly event: Request;
  /** Failed attempts to decide it. */
  readonly failures: number;
}

export async function putRequests(
  manager: EntityManager,
  requests: readonly { readonly tenant: string; readonly event: Request }[],
): Promise<void> {
  await manager.query('INSERT INTO intake (tenant, event) SELECT * FROM unnest($1::text[], $2::jsonb[])', [
    requests.map(({ tenant }) => tenant),
    requests.map(({ event }) => JSON.stringify(event)),
  ]);
}

export async function isAnyWaiting(manager: EntityManager): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT 1 FROM intake LIMIT 1');
  return rows.length > 0;
}

/** Tenants with requests that wait, in the order of names, cyclically, from the one that follows `after`. */
export async function waitingTenants(manager: EntityManager, after: string, most: number): Promise<string[]> {
  // One look into the index for each tenant, however many requests it has.
  const from = async (condition: string, limit: number): Promise<string[]> => {
    const rows: { tenant: string }[] = await manager.query(
      `WITH RECURSIVE found AS (
         (SELECT tenant, 1 AS n FROM intake WHERE ${condition} ORDER BY tenant LIMIT 1)
         UNION ALL
         SELECT (SELECT i.tenant FROM intake i WHERE i.tenant > f.tenant ORDER BY i.tenant LIMIT 1), n + 1
           FROM found f WHERE f.tenant IS NOT NULL AND n < $2)
       SELECT tenant FROM found WHERE tenant IS NOT NULL`,
      [after, limit],
    );
    return rows.map(({ tenant }) => tenant);
  };
  const behind = await from('tenant > $1', most);
  if (behind.length >= most) return behind;
  // Those from the beginning go on into those that were found: a request that were taken twice would have two answers.
  return [...new Set([...behind, ...(await from('tenant <= $1', most - behind.length))])];
}

/**
 * Locks the oldest requests of each tenant until the transaction ends; those that others have are passed over. A request
 * with the id of an older one waits until that is decided.
 */
export async function lockRequests(
  manager: EntityManager,
  tenants: readonly string[],
  mostOfEach: number,
): Promise<WaitingRequest[]> {
  return manager.query(
    `SELECT w.* FROM unnest($1::text[]) AS t(tenant) CROSS JOIN LATERAL (
       SELECT ordinal, i.tenant, event, failures FROM intake i WHERE i.tenant = t.tenant AND not_before <= now()
          AND NOT EXISTS (SELECT 1 FROM intake e WHERE e.event->>'id' = i.event->>'id' AND e.ordinal < i.ordinal)
        ORDER BY ordinal LIMIT $2 FOR UPDATE OF i SKIP LOCKED) w`,
    [tenants, mostOfEach],
  );
}

export async function deleteRequests(manager: EntityManager, requests: readonly WaitingRequest[]): Promise<void> {
  if (requests.length === 0) return;
  await manager.query('DELETE FROM intake WHERE ordinal = ANY($1::bigint[])', [requests.map(({ ordinal }) => ordinal)]);
}

/** @returns false when another has it, or decided it */
export async function takeRequest(manager: EntityManager, { ordinal }: WaitingRequest): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(
    `DELETE FROM intake WHERE ordinal = (
       SELECT ordinal FROM intake WHERE ordinal = $1 AND not_before <= now() FOR UPDATE SKIP LOCKED) RETURNING 1`,
    [ordinal],
  );
  return rows.length === 1;
}

/** The request is taken again after the delay. */
export async function postponeRequest(
  manager: EntityManager,
  { ordinal, failures }: WaitingRequest,
  delayMs: number,
): Promise<void> {
  await manager.query(
    `UPDATE intake SET failures = $2, not_before = now() + make_interval(secs => $3) WHERE ordinal = $1`,
    [ordinal, failures + 1, delayMs / 1000],
  );
}
