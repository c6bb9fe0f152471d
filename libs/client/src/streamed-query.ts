/** Queries to a host agent that answer in many messages. */
import { type agentExec, type agentLogs, type PayloadOf, STREAM_HEADER } from '@plinth/contracts';
import { createInbox, type Msg, type NatsConnection } from 'nats';
import { ClientError } from './errors.js';

type StreamedSubject = ReturnType<typeof agentExec | typeof agentLogs>;
export type OnChunk = (name: 'stdout' | 'stderr', chunk: Uint8Array) => void;

/** A living agent sends something every few seconds, if only an empty chunk. */
const SILENCE_MS = 30_000;

/** @returns the last message, a QueryReply. @throws ClientError `no-answer`, `aborted` */
export async function streamQuery<S extends StreamedSubject>(
  connection: NatsConnection,
  subject: S,
  body: PayloadOf<S>,
  onChunk: OnChunk,
  signal?: AbortSignal,
): Promise<Msg> {
  const subscription = connection.subscribe(createInbox());
  let silent = false;
  const watchdog = setTimeout(() => {
    silent = true;
    subscription.unsubscribe();
  }, SILENCE_MS);
  const stop = (): void => subscription.unsubscribe();
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  try {
    connection.publish(subject, JSON.stringify(body), { reply: subscription.getSubject() });
    for await (const message of subscription) {
      watchdog.refresh();
      if (message.headers?.code === 503)
        throw new ClientError('the host agent does not answer; is its host up? try: plinth hosts', 'no-answer');
      const name = message.headers?.get(STREAM_HEADER);
      if (name !== 'stdout' && name !== 'stderr') return message;
      // This is a probe: the agent ends a stream that has no listener any more.
      if (message.reply) message.respond();
      if (message.data.length > 0) onChunk(name, message.data);
    }
  } finally {
    clearTimeout(watchdog);
    signal?.removeEventListener('abort', stop);
    subscription.unsubscribe();
  }
  if (silent)
    throw new ClientError(
      `the host agent fell silent for ${SILENCE_MS / 1000} s; is its host up? try: plinth hosts`,
      'no-answer',
    );
  throw new ClientError(
    signal?.aborted ? 'interrupted' : 'the connection ended before the answer came; try: plinth status',
    'aborted',
  );
}
