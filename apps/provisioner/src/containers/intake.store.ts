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

/**
 * Takes the oldest request of the tenant that follows `after` in the order of names, cyclically; a failed transaction
 * puts it back. A request with the id of an older one waits until that is decided.
 */
export async function takeRequest(manager: EntityManager, afterTenant: string): Promise<WaitingRequest | undefined> {
  const take = async (condition: string, parameters: readonly string[]): Promise<WaitingRequest | undefined> => {
    const [rows]: [WaitingRequest[], number] = await manager.query(
      `DELETE FROM intake WHERE ordinal = (
         SELECT ordinal FROM intake i WHERE not_before <= now() AND ${condition}
            AND NOT EXISTS (SELECT 1 FROM intake e WHERE e.event->>'id' = i.event->>'id' AND e.ordinal < i.ordinal)
          ORDER BY tenant, ordinal LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING ordinal, tenant, event, failures`,
      [...parameters],
    );
    return rows[0];
  };
  return (await take('tenant > $1', [afterTenant])) ?? (await take('true', []));
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
