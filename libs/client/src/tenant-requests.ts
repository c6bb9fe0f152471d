/** A request that changes what all containers of a tenant may reach, and the wait for their hosts. */
import {
  type EgressPolicy,
  EVENTS_ABOUT,
  QUERIES,
  SUBJECTS,
  type TenantChanged,
  type TenantDetails,
} from '@plinth/contracts';
import { ClientError } from './errors.js';
import type { PlinthClient } from './plinth-client.js';

const ANSWER_MS = 30_000;
const LOOK_EVERY_MS = 300;

/** Hosts on which the policy takes effect later. */
export const waitingHosts = ({ hosts }: Pick<TenantDetails, 'hosts'>): TenantDetails['hosts'] =>
  hosts.filter(({ effect }) => effect === 'no');

/**
 * @param timeoutMs how long to wait for hosts; undefined: do not wait for them
 * @returns the tenant as it is then: {@link waitingHosts} is empty, or `timeoutMs` is undefined, or all that are left
 * send no heartbeats
 * @throws ClientError with the reason of the rejection; `timeout`
 */
export async function setTenantEgress(
  client: PlinthClient,
  tenant: string,
  egress: EgressPolicy,
  timeoutMs: number | undefined,
): Promise<TenantDetails> {
  const revision = await request(client, tenant, egress);
  for (
    const end = Date.now() + (timeoutMs ?? 0);
    ;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  ) {
    const details = await client.query(QUERIES.tenant, { tenant });
    const waiting = waitingHosts(details);
    if (timeoutMs === undefined || details.revision > revision || waiting.every(({ isReady }) => !isReady))
      return details;
    if (Date.now() > end)
      throw new ClientError(
        `the policy stands, and is not in effect on ${waiting.map(({ host }) => host).join(', ')} after ` +
          `${Math.round(timeoutMs / 1000)} s: each has it as soon as its agent has received it; plinth tenant show ${tenant}`,
        'timeout',
      );
  }
}

/** @returns the revision */
async function request(client: PlinthClient, tenant: string, egress: EgressPolicy): Promise<number> {
  const stream = await client.request(
    SUBJECTS.tenantChangeRequested,
    { tenant, egress },
    { facts: [EVENTS_ABOUT.tenants] },
  );
  try {
    const fact = await stream.first(({ subject }) => !subject.endsWith('.requested'), ANSWER_MS);
    if (fact.subject === SUBJECTS.tenantChanged) return (fact.data as unknown as TenantChanged).revision;
    throw new ClientError(
      `rejected (${String(fact.data['reason'])}): ${String(fact.data['message'])}`,
      String(fact.data['reason']),
    );
  } finally {
    stream.close();
  }
}
