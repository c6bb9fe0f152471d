/** Dead letters: messages that a service could not take, kept as they came. */
import { CONTRACTS, type DroppedDeadLetters, QUERIES, STREAMS } from '@plinth/contracts';
import { derivedId, readStored, type StoredMessage } from '@plinth/service-kit/messaging';
import { ClientError } from './errors.js';
import { readFact } from './facts.js';
import type { PlinthClient } from './plinth-client.js';

export interface DeadLetter {
  readonly sequence: number;
  readonly id: string;
  /** The service that gave up. */
  readonly service: string;
  readonly storedAt: string;
  /** Subject of the message. */
  readonly subject: string;
  readonly eventId: string;
  readonly reason: string;
  readonly problems: readonly { readonly path?: string; readonly message?: string }[];
  readonly attempts: number;
  readonly bytes: number;
  /** As it came; the first 64 KiB. */
  readonly body: Buffer;
}

const DROPS_AT_ONCE = 200;
const READS_AT_ONCE = 64;

export interface LetterFilter {
  readonly service?: string;
  /** Subject of the message, whole. */
  readonly subject?: string;
  readonly reason?: string;
}

/** Lists dead letters, newest first, `limit` at the most. */
export async function deadLetters(
  { connection }: PlinthClient,
  filter: LetterFilter,
  limit: number,
): Promise<DeadLetter[]> {
  const { name } = STREAMS.deadLetters;
  const letters: DeadLetter[] = [];
  // The search goes upwards: the server does not find the newest one when the very last position was dropped.
  for (let position = 1; ; position += READS_AT_ONCE) {
    const next = await readStored(connection, name, { seq: position, next_by_subj: '>' });
    if (!next) return letters.reverse();
    position = next.sequence;
    const others = await Promise.all(
      Array.from({ length: READS_AT_ONCE - 1 }, (_, index) =>
        readStored(connection, name, { seq: position + 1 + index }),
      ),
    );
    for (const message of [next, ...others]) {
      const letter = message && letterOf(message);
      if (letter && fits(letter, filter)) letters.push(letter);
    }
    letters.splice(0, letters.length - limit);
  }
}

function fits(letter: DeadLetter, { service, subject, reason }: LetterFilter): boolean {
  return (
    (service === undefined || letter.service === service) &&
    (subject === undefined || letter.subject === subject) &&
    (reason === undefined || letter.reason === reason)
  );
}

/** One dead letter by its number, as `deadletters ls` shows it. @throws ClientError `letter-not-found` */
export async function deadLetter({ connection }: PlinthClient, sequence: number): Promise<DeadLetter> {
  const message = await readStored(connection, STREAMS.deadLetters.name, { seq: sequence, next_by_subj: '>' });
  if (message?.sequence !== sequence)
    throw new ClientError(
      `there is no dead letter ${sequence}; plinth deadletters ls shows what there is`,
      'letter-not-found',
    );
  return letterOf(message);
}

function letterOf({ subject, headers, data, sequence, storedAtMs }: StoredMessage): DeadLetter {
  const fact = readFact(subject, headers, data, String(sequence), storedAtMs);
  const text = (key: string): string => (typeof fact.data[key] === 'string' ? fact.data[key] : '');
  const count = (key: string): number => (typeof fact.data[key] === 'number' ? fact.data[key] : 0);
  const { problems } = fact.data;
  return {
    sequence,
    id: fact.id,
    service: subject.slice(subject.indexOf('.') + 1),
    storedAt: new Date(storedAtMs).toISOString(),
    subject: text('subject'),
    eventId: text('eventId'),
    reason: text('reason'),
    problems: Array.isArray(problems) ? (problems as DeadLetter['problems']) : [],
    attempts: count('attempts'),
    bytes: count('bytes'),
    body: Buffer.from(text('body'), 'base64'),
  };
}

/** Why a letter can't be sent again; undefined: it can. Pure. */
export function replayRefusal(letter: DeadLetter): string | undefined {
  const contract = CONTRACTS.find(({ subject }) => subject === letter.subject);
  if (contract?.kind !== 'request' || !contract.publishers.includes('operator')) {
    const subject = letter.subject || 'a letter without a subject';
    return `${subject} is no request; services publish again by themselves what others have missed`;
  }
  if (letter.body.length < letter.bytes) return `only ${letter.body.length} of its ${letter.bytes} bytes were kept`;
  if (bodyOf(letter) === undefined) return 'its body is no JSON object, and would be refused again';
  return undefined;
}

/** The body as an object; undefined when it is none. */
export function bodyOf({ body }: DeadLetter): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What is shown of a body: environments may hold secrets, in every place and of every type. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key.toLowerCase() === 'env' ? hidden(inner) : withoutSecrets(inner),
    ]),
  );
}

function hidden(env: unknown): unknown {
  return env !== null && typeof env === 'object' && !Array.isArray(env)
    ? Object.fromEntries(Object.keys(env).map((name) => [name, '…']))
    : '…';
}

/**
 * The id of the request that a letter is sent as: the same however often it is asked for, so that it is carried out
 * once.
 */
export function replayId({ id }: DeadLetter): string {
  return derivedId('replayed', id);
}

/**
 * Sends a letter's request again, as a new one, and drops the letter when the bus has it.
 * @returns the new request's id.
 * @throws ClientError `not-replayable`
 */
export async function replayDeadLetter(client: PlinthClient, letter: DeadLetter): Promise<string> {
  const refusal = replayRefusal(letter);
  const body = bodyOf(letter);
  if (refusal !== undefined || !body)
    throw new ClientError(
      `dead letter ${letter.sequence} can't be sent again: ${refusal ?? ''}; ` +
        `plinth deadletters drop ${letter.sequence} removes it`,
      'not-replayable',
    );
  const id = replayId(letter);
  await client.publishUnchecked(letter.subject, body, { id, causationId: letter.eventId });
  await dropDeadLetters(client, [letter]);
  return id;
}

export async function dropDeadLetters(
  client: PlinthClient,
  letters: readonly DeadLetter[],
): Promise<DroppedDeadLetters> {
  const dropped: number[] = [];
  const missing: number[] = [];
  for (let from = 0; from < letters.length; from += DROPS_AT_ONCE) {
    const refs = letters.slice(from, from + DROPS_AT_ONCE).map(({ sequence, id }) => ({ sequence, id }));
    const answer = await client.query(QUERIES.dropDeadLetters, { letters: refs });
    dropped.push(...answer.dropped);
    missing.push(...answer.missing);
  }
  return { dropped, missing };
}
