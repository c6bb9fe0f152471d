/** A request that changes ports, egress or limits of a container, and the wait for its host. */
import {
  type ContainerChanged,
  type ContainerChangeRequested,
  EVENTS_ABOUT,
  type PayloadOf,
  QUERIES,
  SUBJECTS,
} from '@plinth/contracts';
import { refusal } from './container-requests.js';
import { ClientError } from './errors.js';
import type { Fact } from './facts.js';
import type { PlinthClient } from './plinth-client.js';

export type ChangeRequest = Omit<ContainerChangeRequested, 'id' | 'name' | 'tenant'>;

const ENDS: readonly string[] = [SUBJECTS.containerChanged, SUBJECTS.containerRejected];

/**
 * @param timeoutMs undefined: do not wait
 * @returns undefined when it was not waited for
 * @throws ClientError with the reason of the rejection, or of the failed restart; `timeout`
 */
export async function changeContainer(
  client: PlinthClient,
  id: string,
  request: ChangeRequest,
  timeoutMs: number | undefined,
): Promise<ContainerChanged | undefined> {
  const subject = SUBJECTS.containerChangeRequested;
  const body: PayloadOf<typeof subject> = { id, ...request };
  const stream = await client.request(subject, body, { facts: [EVENTS_ABOUT.containers] });
  try {
    if (timeoutMs === undefined) return undefined;
    const isEnd = ({ subject: seen }: Fact): boolean =>
      ENDS.includes(seen) || (request.restart === true && seen === SUBJECTS.containerFailed);
    const fact = await stream.within(isEnd, timeoutMs);
    if (fact?.subject === SUBJECTS.containerChanged) return fact.data as unknown as ContainerChanged;
    if (fact) throw refusal(fact);
    const { name, host } = await client.query(QUERIES.container, { id });
    throw new ClientError(
      `no answer within ${Math.round(timeoutMs / 1000)} s: the change stands, and is in effect when ${host ?? 'its host'} ` +
        `has it; plinth inspect ${name} shows the config, plinth hosts whether the host is up`,
      'timeout',
    );
  } finally {
    stream.close();
  }
}
