/** Stored messages of the bus, since a time, then live. */
import { type StreamName, STREAMS } from '@plinth/contracts';
import { readStored, type StoredMessage } from '@plinth/service-kit/messaging';
import type { NatsConnection } from 'nats';
import { ClientError } from './errors.js';
import { type Fact, readFact } from './facts.js';

export interface HistoryOptions {
  /** NATS subject, wildcards allowed; its first word determines the stream. */
  readonly subject: string;
  readonly since: Date;
  /** Go on as messages come. */
  readonly follow: boolean;
  readonly signal?: AbortSignal;
}

/** How often new messages are asked for. */
const POLL_MS = 200;

/** Which stream holds these subjects; events when the subject begins with a wildcard. */
export function streamOf(subject: string): StreamName {
  const [first = ''] = subject.split('.');
  if (first === '>' || first === '*') return STREAMS.events.name;
  const found = Object.values(STREAMS).find((stream) => stream.subjects.some((pattern) => pattern === `${first}.>`));
  if (!found)
    throw new ClientError(
      `nothing is stored under ${subject}; try one of ${Object.values(STREAMS)
        .flatMap(({ subjects }) => subjects)
        .join(', ')}`,
      'unknown-subject',
    );
  return found.name;
}

/**
 * Gives every stored message to `onFact`, in order; ends when all are given, or with `follow` when aborted. Needs no
 * consumer, only the right to read.
 */
export async function readHistory(
  connection: NatsConnection,
  options: HistoryOptions,
  onFact: (fact: Fact) => void,
): Promise<void> {
  const stream = streamOf(options.subject);
  const next = (seq: number): Promise<StoredMessage | undefined> =>
    readStored(connection, stream, { seq, next_by_subj: options.subject });
  const last = await readStored(connection, stream, { last_by_subj: options.subject });
  let position = last ? await firstSince(next, last.sequence, options.since.getTime()) : 1;
  while (!options.signal?.aborted) {
    const message = await next(position);
    if (message) {
      if (!options.follow && message.sequence > (last?.sequence ?? 0)) return;
      onFact(readFact(message.subject, message.headers, message.data, String(message.sequence), message.storedAtMs));
      position = message.sequence + 1;
    } else if (options.follow) await pause(POLL_MS, options.signal);
    else return;
  }
}

/** Position at which the first message from that time on lies: positions and times grow together. */
async function firstSince(
  next: (seq: number) => Promise<StoredMessage | undefined>,
  lastSequence: number,
  sinceMs: number,
): Promise<number> {
  let low = 1;
  let high = lastSequence + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = await next(middle);
    if (!found || found.storedAtMs >= sinceMs) high = middle;
    else low = found.sequence + 1;
  }
  return low;
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
  });
}
