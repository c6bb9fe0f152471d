/** Requests about hosts. */
import { EVENTS_ABOUT, type HostOperation, type HostStatus, type Labels, SUBJECTS } from '@plinth/contracts';
import { ClientError, type Fact, type FactStream, type PlinthClient } from './plinth-client.js';

const ANSWER_MS = 30_000;
const LOOK_EVERY_MS = 1_000;

const REQUESTS = {
  cordon: SUBJECTS.hostCordonRequested,
  uncordon: SUBJECTS.hostUncordonRequested,
  drain: SUBJECTS.hostDrainRequested,
} as const satisfies Readonly<Record<Exclude<HostOperation, 'label'>, string>>;

/** Returns when the request is accepted. @throws ClientError with the reason of the rejection, or `timeout` */
export async function actOnHost(
  client: PlinthClient,
  operation: Exclude<HostOperation, 'label'>,
  host: string,
  options: { readonly parallel?: number } = {},
): Promise<void> {
  await answered(await client.request(REQUESTS[operation], { host, ...options }, { facts: [EVENTS_ABOUT.hosts] }));
}

/** Sets and removes labels of operators. @throws ClientError with the reason of the rejection, or `timeout` */
export async function labelHost(
  client: PlinthClient,
  host: string,
  { set, remove }: { readonly set: Labels; readonly remove: readonly string[] },
): Promise<void> {
  const body = { host, set: { ...set }, remove: [...remove] };
  await answered(await client.request(SUBJECTS.hostLabelRequested, body, { facts: [EVENTS_ABOUT.hosts] }));
}

/** @throws ClientError `host-not-found` */
export async function hostNamed(client: PlinthClient, host: string): Promise<HostStatus> {
  const status = (await client.hosts()).find((found) => found.host === host);
  if (!status) throw new ClientError(`there is no host ${host}; plinth hosts shows what there is`, 'host-not-found');
  return status;
}

async function answered(stream: FactStream): Promise<void> {
  try {
    const fact = await stream.first((seen) => !seen.subject.endsWith('.requested'), ANSWER_MS);
    if (fact.subject === SUBJECTS.hostRejected) throw rejection(fact);
  } finally {
    stream.close();
  }
}

/**
 * Waits until nothing is left on the host.
 * @param onProgress called each time something has changed
 * @throws ClientError `timeout`; `uncordoned` when the drain was ended
 */
export async function waitUntilDrained(
  client: PlinthClient,
  host: string,
  timeoutMs: number,
  onProgress: (status: HostStatus) => void,
): Promise<void> {
  let reported = '';
  for (const end = Date.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))) {
    const status = await hostNamed(client, host);
    if (!status.drain) {
      if (status.cordoned) return;
      throw new ClientError(`${host} was uncordoned before it was empty`, 'uncordoned');
    }
    const now = JSON.stringify(status.drain);
    if (now !== reported) onProgress(status);
    reported = now;
    if (Date.now() > end) {
      const { left, waiting } = status.drain;
      throw new ClientError(
        `${host} still has ${left} ${left === 1 ? 'container' : 'containers'}${waiting ? ` (${waiting})` : ''}; ` +
          `plinth ps --host ${host} shows them, the drain goes on`,
        'timeout',
      );
    }
  }
}

function rejection({ data }: Fact): ClientError {
  return new ClientError(`rejected (${String(data['reason'])}): ${String(data['message'])}`, String(data['reason']));
}
