/** Requests about rollouts, and their present state. */
import {
  EVENTS_ABOUT,
  QUERIES,
  type RolloutDetails,
  type RolloutMember,
  type RolloutOperation,
  type RolloutRequested,
  rolloutStatus,
  SUBJECTS,
} from '@plinth/contracts';
import { ClientError, type Fact, type PlinthClient } from './plinth-client.js';

const ANSWER_MS = 30_000;

export type RolloutActionName = Exclude<RolloutOperation, 'start'>;

const SUBJECTS_OF = {
  pause: SUBJECTS.rolloutPauseRequested,
  resume: SUBJECTS.rolloutResumeRequested,
  abort: SUBJECTS.rolloutAbortRequested,
  revert: SUBJECTS.rolloutRevertRequested,
  approve: SUBJECTS.rolloutApprovalRequested,
} as const satisfies Readonly<Record<RolloutActionName, string>>;

/** @returns the id of the rollout. @throws ClientError with the reason of the rejection, or `timeout` */
export async function startRollout(client: PlinthClient, request: RolloutRequested): Promise<string> {
  const stream = await client.request(SUBJECTS.rolloutRequested, request, { facts: [EVENTS_ABOUT.rollouts] });
  try {
    const ends: readonly string[] = [SUBJECTS.rolloutStarted, SUBJECTS.rolloutRejected];
    const fact = await stream.first((seen) => ends.includes(seen.subject), ANSWER_MS);
    if (fact.subject === SUBJECTS.rolloutRejected) throw rejection(fact);
    return String(fact.data['rolloutId']);
  } finally {
    stream.close();
  }
}

/** Returns when the rollout has taken it in. @throws ClientError with the reason of the rejection, or `timeout` */
export async function actOnRollout(client: PlinthClient, action: RolloutActionName, rolloutId: string): Promise<void> {
  const stream = await client.request(
    SUBJECTS_OF[action],
    { rolloutId },
    { facts: [EVENTS_ABOUT.rollouts, rolloutStatus(rolloutId)] },
  );
  try {
    const fact = await stream.first((seen) => !seen.subject.endsWith('.requested'), ANSWER_MS);
    if (fact.subject === SUBJECTS.rolloutRejected) throw rejection(fact);
  } finally {
    stream.close();
  }
}

/**
 * One rollout by id, or by an unambiguous beginning of it (4 digits or more).
 * @throws ClientError `rollout-not-found`, `ambiguous`
 */
export async function findRollout(client: PlinthClient, text: string): Promise<RolloutDetails> {
  if (/^[0-9a-f]{32}$/.test(text)) return client.query(QUERIES.rollout, { id: text });
  const matches = /^[0-9a-f]{4,31}$/.test(text)
    ? (await client.list(QUERIES.rollouts, { all: true })).filter(({ id }) => id.startsWith(text))
    : [];
  const [only] = matches;
  if (matches.length === 1 && only) return client.query(QUERIES.rollout, { id: only.id });
  if (matches.length > 1)
    throw new ClientError(`${text} is the beginning of ${matches.length} ids; give more of it`, 'ambiguous');
  throw new ClientError(
    `there is no rollout ${text}; plinth rollout ls --all shows what there is`,
    'rollout-not-found',
  );
}

function rejection(fact: Fact): ClientError {
  const { reason, message, problems } = fact.data;
  const lines = Array.isArray(problems)
    ? (problems as { path?: unknown; message?: unknown }[]).map(
        (problem) => `\n  ${String(problem.path ?? '') || '(request)'}: ${String(problem.message)}`,
      )
    : [];
  return new ClientError(`rejected (${String(reason)}): ${String(message)}${lines.join('')}`, String(reason));
}

/** The containers of a rollout in pages, the first of which was with its details. */
export async function* memberPages(
  client: PlinthClient,
  { id, members, next }: RolloutDetails,
): AsyncGenerator<readonly RolloutMember[]> {
  yield members;
  if (next !== undefined) yield* client.pages(QUERIES.rolloutMembers, { id, cursor: next });
}

/** A rollout with all of its containers. */
export async function withAllMembers(client: PlinthClient, details: RolloutDetails): Promise<RolloutDetails> {
  const members: RolloutMember[] = [];
  for await (const page of memberPages(client, details)) members.push(...page);
  return { ...details, members, next: undefined };
}
