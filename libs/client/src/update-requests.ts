/** A request that moves one container to another image, and the wait for its verdict. */
import { type ContainerReverted, type ContainerUpdated, EVENTS_ABOUT, QUERIES, SUBJECTS } from '@plinth/contracts';
import { refusal } from './container-requests.js';
import { ClientError, type Fact, type PlinthClient } from './plinth-client.js';

export interface UpdateRequest {
  readonly to: string;
  readonly stableSeconds?: number;
  readonly soakSeconds?: number;
  readonly snapshotData?: boolean;
}

export type UpdateOutcome =
  | { readonly kind: 'updated'; readonly fact: ContainerUpdated }
  | { readonly kind: 'reverted'; readonly fact: ContainerReverted };

/** Facts may be missed while a connection is renewed, so that the present state is asked for now and then. */
const LOOK_EVERY_MS = 2_000;
const VERDICTS: readonly string[] = [SUBJECTS.containerUpdated, SUBJECTS.containerReverted, SUBJECTS.containerRejected];

/**
 * @param timeoutMs undefined: do not wait
 * @param onFact every fact of the update, as it comes
 * @returns undefined when it was not waited for
 * @throws ClientError with the reason of the rejection, or `timeout`
 */
export async function updateContainer(
  client: PlinthClient,
  id: string,
  request: UpdateRequest,
  timeoutMs: number | undefined,
  onFact: (fact: Fact) => void,
): Promise<UpdateOutcome | undefined> {
  const stream = await client.request(
    SUBJECTS.containerUpdateRequested,
    { id, ...request },
    { facts: [EVENTS_ABOUT.containers] },
  );
  try {
    if (timeoutMs === undefined) return undefined;
    const reported = new Set<Fact>();
    const isVerdict = (fact: Fact): boolean => {
      if (!reported.has(fact)) onFact(fact);
      reported.add(fact);
      return VERDICTS.includes(fact.subject);
    };
    for (const deadline = performance.now() + timeoutMs; ;) {
      const fact = await stream.within(isVerdict, Math.min(LOOK_EVERY_MS, deadline - performance.now()));
      if (fact) return outcomeOf(fact);
      const seen = await outcomeNow(client, id, request.to);
      if (seen) return seen;
      if (deadline <= performance.now())
        throw new ClientError(
          `not judged within ${Math.round(timeoutMs / 1000)} s; it goes on: plinth inspect ${id.slice(0, 12)}`,
          'timeout',
        );
    }
  } finally {
    stream.close();
  }
}

function outcomeOf(fact: Fact): UpdateOutcome {
  if (fact.subject === SUBJECTS.containerUpdated)
    return { kind: 'updated', fact: fact.data as unknown as ContainerUpdated };
  if (fact.subject === SUBJECTS.containerReverted)
    return { kind: 'reverted', fact: fact.data as unknown as ContainerReverted };
  throw refusal(fact);
}

/** The verdict as the container's state shows it, when the fact was missed. */
async function outcomeNow(client: PlinthClient, id: string, to: string): Promise<UpdateOutcome | undefined> {
  const details = await client.query(QUERIES.container, { id }).catch((error: unknown) => {
    if (error instanceof ClientError) return undefined;
    throw error;
  });
  const update = details?.update;
  if (!details || !update || !update.to.startsWith(to)) return undefined;
  const base = {
    containerId: id,
    name: details.name,
    tenant: details.tenant,
    host: details.host ?? '',
    generation: details.generation,
    image: details.image ?? '',
    updateId: update.updateId,
  };
  if (update.state === 'updated') return { kind: 'updated', fact: { ...base, from: update.from } };
  if (update.state !== 'reverted') return undefined;
  return {
    kind: 'reverted',
    fact: { ...base, failedImage: update.to, reason: update.reason ?? 'internal-error', message: update.message ?? '' },
  };
}
