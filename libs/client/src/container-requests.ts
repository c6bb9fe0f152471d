/** Requests about containers together with the wait for what becomes of them. */
import {
  type ContainerDetails,
  type ContainerStarted,
  type ContainerState,
  EVENTS_ABOUT,
  type FactSubject,
  QUERIES,
  type RequestSubject,
  SUBJECTS,
} from '@plinth/contracts';
import { ClientError } from './errors.js';
import type { Fact, FactStream } from './facts.js';
import type { PlinthClient } from './plinth-client.js';

/** Facts may be missed while a connection is renewed, so that the present state is asked for now and then. */
const LOOK_EVERY_MS = 2_000;

export type ContainerActionName = 'stop' | 'start' | 'restart' | 'rm';

interface Action {
  readonly subject: RequestSubject;
  /** The fact that reports it done, and the state that shows it. */
  readonly done: FactSubject;
  readonly state: ContainerState;
  /** It begins a start, whose failure is an answer. Else a start that fails is that of before. */
  readonly starts: boolean;
}

const ACTIONS: Readonly<Record<ContainerActionName, Action>> = {
  stop: { subject: SUBJECTS.containerStopRequested, done: SUBJECTS.containerStopped, state: 'stopped', starts: false },
  start: { subject: SUBJECTS.containerStartRequested, done: SUBJECTS.containerStarted, state: 'running', starts: true },
  restart: {
    subject: SUBJECTS.containerRestartRequested,
    done: SUBJECTS.containerStarted,
    state: 'running',
    starts: true,
  },
  rm: { subject: SUBJECTS.containerRemoveRequested, done: SUBJECTS.containerRemoved, state: 'removed', starts: false },
};

/** What a started container looks like; `durationMs` and `phases` are known only when its fact was seen. */
export type StartedContainer = Omit<ContainerStarted, 'phases' | 'durationMs'> &
  Partial<Pick<ContainerStarted, 'phases' | 'durationMs'>>;

/**
 * Waits until the container of a `container.requested` runs. A request that was sent before is answered by its
 * container's present state.
 * @throws ClientError with the reason of the rejection or failure, or `timeout`
 */
export async function waitUntilStarted(
  client: PlinthClient,
  stream: FactStream,
  timeoutMs: number,
): Promise<StartedContainer> {
  const ends: readonly string[] = [SUBJECTS.containerStarted, SUBJECTS.containerFailed, SUBJECTS.containerRejected];
  const found = await watch(
    stream,
    (fact) => ends.includes(fact.subject),
    timeoutMs,
    stream.duplicate,
    async () => {
      const details = await containerNow(client, { requestId: stream.requestId });
      return details && ['running', 'failed', 'stopped', 'lost', 'removed'].includes(details.state)
        ? details
        : undefined;
    },
  );
  if (!('data' in found)) return startedFrom(found);
  if (found.subject !== SUBJECTS.containerStarted) throw refusal(found);
  return found.data as unknown as ContainerStarted;
}

/**
 * Stops, starts, restarts or removes a container and, with `timeoutMs`, waits until that is done.
 * @throws ClientError with the reason of the rejection or failure, or `timeout`
 */
export async function actOnContainer(
  client: PlinthClient,
  name: ContainerActionName,
  container: { readonly id: string; readonly generation: number },
  options: { readonly keepData?: boolean; readonly timeoutMs?: number } = {},
): Promise<void> {
  const action = ACTIONS[name];
  const { id, generation } = container;
  const answers = await client.request(
    action.subject,
    { id, ...(name === 'rm' ? { keepData: options.keepData } : {}) },
    { facts: [EVENTS_ABOUT.containers] },
  );
  try {
    if (options.timeoutMs === undefined) return;
    const ends: readonly string[] = [
      ...[action.done, SUBJECTS.containerRejected],
      ...(action.starts ? [SUBJECTS.containerFailed] : []),
    ];
    const states: readonly string[] = [action.state, ...(action.starts ? ['failed'] : [])];
    const found = await watch(
      answers,
      (fact) => ends.includes(fact.subject),
      options.timeoutMs,
      false,
      async () => {
        const details = await containerNow(client, { id });
        if (!details) return name === 'rm' ? 'gone' : undefined;
        return details.generation > generation && states.includes(details.state) ? details : undefined;
      },
    );
    if (found === 'gone') return;
    if (!('data' in found)) {
      if (found.state !== action.state)
        throw new ClientError(
          `${found.name} is ${found.state}: ${found.message ?? 'no reason is known'}; try: plinth logs ${found.name}`,
          'failed',
        );
    } else if (found.subject !== action.done) throw refusal(found);
  } finally {
    answers.close();
  }
}

/** The fact or, when none comes, what the present state shows. */
async function watch<T>(
  stream: FactStream,
  fits: (fact: Fact) => boolean,
  timeoutMs: number,
  askAtOnce: boolean,
  lookNow: () => Promise<T | undefined>,
): Promise<Fact | T> {
  const deadline = performance.now() + timeoutMs;
  for (let first = askAtOnce; ; first = false) {
    const left = deadline - performance.now();
    const fact = await stream.within(fits, first ? 0 : Math.min(left, LOOK_EVERY_MS));
    if (fact) return fact;
    const seen = await lookNow();
    if (seen !== undefined) return seen;
    if (deadline <= performance.now()) {
      throw new ClientError(
        `no answer within ${Math.round(timeoutMs / 1000)} s; ` +
          'the request stands and may still be answered; try: plinth status',
        'timeout',
      );
    }
  }
}

/** undefined when there is no such container, or no service answers now. */
async function containerNow(
  client: PlinthClient,
  query: { readonly id: string } | { readonly requestId: string },
): Promise<ContainerDetails | undefined> {
  try {
    return await client.query(QUERIES.container, query);
  } catch (error) {
    if (error instanceof ClientError) return undefined;
    throw error;
  }
}

function startedFrom(details: ContainerDetails): StartedContainer {
  const {
    id,
    name,
    tenant,
    state,
    host,
    image,
    pid,
    startedAt,
    storageNode,
    generation,
    restarts,
    imageAsked,
    fallbackReason,
    config,
    address,
    ports,
  } = details;
  if (state !== 'running' || !host || !image || pid === null) {
    throw new ClientError(
      `${name} of this request is ${state}${details.message ? `: ${details.message}` : ''}; try: plinth inspect ${id}`,
      `container-${state}`,
    );
  }
  return {
    containerId: id,
    name,
    tenant,
    host,
    generation,
    image,
    imageAsked: imageAsked ?? undefined,
    fallbackReason: fallbackReason ?? undefined,
    storageNode: storageNode ?? '',
    dataVolume: config?.dataVolume ?? '',
    pid,
    startedAt: startedAt ?? '',
    restarts,
    ...(address && { address }),
    ...(ports?.length > 0 && { ports: [...ports] }),
  };
}

/** A `container.rejected` or `container.failed` as an error for people. */
export function refusal(fact: Fact): ClientError {
  const { reason, message, name, containerId, problems, logTail } = fact.data;
  const lines = Array.isArray(problems)
    ? (problems as { path?: unknown; message?: unknown }[]).map(
        (problem) => `\n  ${String(problem.path ?? '') || '(request)'}: ${String(problem.message)}`,
      )
    : [];
  if (fact.subject === SUBJECTS.containerRejected)
    return new ClientError(`rejected (${String(reason)}): ${String(message)}${lines.join('')}`, String(reason));
  const log = typeof logTail === 'string' && logTail !== '' ? `\n${logTail.trimEnd()}` : '';
  return new ClientError(
    `${String(name)} failed (${String(reason)}): ${String(message)}; try: plinth inspect ${String(containerId)}${log}`,
    String(reason),
  );
}
