/** Stored messages of the bus, since a time, then live. */
import { STREAMS } from '@plinth/contracts';
import { AckPolicy, DeliverPolicy, type NatsConnection } from 'nats';
import { ClientError } from './errors.js';
import { type Fact, readFact } from './facts.js';

export interface HistoryOptions {
  /** NATS subject, wildcards allowed; its first word says which stream. */
  readonly subject: string;
  readonly since: Date;
  /** Go on as messages come. */
  readonly follow: boolean;
  readonly signal?: AbortSignal;
}

/** Which stream holds these subjects; events when the subject begins with a wildcard. */
export function streamOf(subject: string): string {
  const [first = ''] = subject.split('.');
  if (first === '>' || first === '*') return STREAMS.events.name;
  const found = Object.values(STREAMS).find((stream) => stream.subjects.some((pattern) => pattern === `${first}.>`));
  if (!found) throw new ClientError(`nothing is stored under ${subject}; try image.>, container.>, host.>, report.>, desired.>, status.> or deadletter.>`, 'unknown-subject');
  return found.name;
}

/** Gives every stored message to `onFact`, in order; ends when all are given, or with `follow` when aborted. */
export async function readHistory(connection: NatsConnection, options: HistoryOptions, onFact: (fact: Fact) => void): Promise<void> {
  const stream = streamOf(options.subject);
  const jsm = await connection.jetstreamManager();
  const info = await jsm.consumers.add(stream, {
    filter_subject: options.subject === '>' ? undefined : options.subject,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: options.since.toISOString(),
    ack_policy: AckPolicy.None,
    inactive_threshold: 30e9,
    mem_storage: true,
  });
  let pending = info.num_pending;
  if (pending === 0 && !options.follow) return;
  const consumer = await connection.jetstream().consumers.get(stream, info.name);
  const messages = await consumer.consume({ max_messages: 500 });
  options.signal?.addEventListener('abort', () => messages.stop());
  for await (const message of messages) {
    onFact(readFact(message.subject, message.headers, message.data, String(message.seq), message.info.timestampNanos / 1e6));
    if (--pending <= 0 && !options.follow) messages.stop();
  }
}
