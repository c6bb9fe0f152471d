/** Requests to even out hosts, and how far they are. */
import {
  EVENTS_ABOUT,
  QUERIES,
  type RebalanceDetails,
  type RebalanceOperation,
  type RebalanceRequested,
  SUBJECTS,
} from '@plinth/contracts';
import { ClientError } from './errors.js';
import type { Fact, PlinthClient } from './plinth-client.js';

/** Planning for a large fleet takes seconds. */
const ANSWER_MS = 60_000;
const LOOK_EVERY_MS = 500;

const REQUESTS = {
  start: SUBJECTS.rebalanceRequested,
  cancel: SUBJECTS.rebalanceCancelRequested,
} as const satisfies Readonly<Record<RebalanceOperation, string>>;

/** @returns its id. @throws ClientError with the reason of the rejection, or `timeout` */
export async function startRebalance(client: PlinthClient, request: RebalanceRequested): Promise<string> {
  const fact = await answered(client, 'start', { ...request });
  return String(fact.data['rebalanceId']);
}

/** Returns when no further move is begun. @throws ClientError with the reason of the rejection, or `timeout` */
export async function cancelRebalance(client: PlinthClient, rebalanceId: string): Promise<void> {
  await answered(client, 'cancel', { rebalanceId });
}

/**
 * Follows a rebalance to its end.
 * @param onProgress called each time something has changed
 * @throws ClientError `timeout`: it goes on
 */
export async function watchRebalance(
  client: PlinthClient,
  id: string,
  timeoutMs: number,
  onProgress: (details: RebalanceDetails) => void,
): Promise<RebalanceDetails> {
  let reported = '';
  for (const end = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))) {
    const details = await client.query(QUERIES.rebalance, { id });
    const now = JSON.stringify(details);
    if (now !== reported) onProgress(details);
    reported = now;
    if (details.endedAt !== null) return details;
    if (Date.now() > end)
      throw new ClientError(
        `the rebalance has not ended (${details.counts.pending} moves are left), and goes on; ` +
          'plinth rebalance show says how far it is, plinth rebalance cancel ends it',
        'timeout',
      );
  }
}

async function answered(client: PlinthClient, operation: RebalanceOperation, body: object): Promise<Fact> {
  const facts = { facts: [EVENTS_ABOUT.rebalances] };
  const stream = await client.request(REQUESTS[operation], body as never, facts);
  try {
    const fact = await stream.first((seen) => !seen.subject.endsWith('.requested'), ANSWER_MS);
    if (fact.subject !== SUBJECTS.rebalanceRejected) return fact;
    const { reason, message } = fact.data;
    throw new ClientError(`rejected (${String(reason)}): ${String(message)}`, String(reason));
  } finally {
    stream.close();
  }
}
