/** A host agent's answer in many messages, no faster than its reader takes them. */
import {
  type agentLogs,
  type PayloadOf,
  PLACE_HEADER,
  type QueryReply,
  STREAM_HEADER,
  type StreamEnd,
} from '@plinth/contracts';
import { createInbox, type Msg, type NatsConnection } from 'nats';
import { ClientError } from './errors.js';

export interface Chunk {
  readonly name: 'stdout' | 'stderr';
  readonly bytes: Uint8Array;
}

export interface PacedOptions {
  /** After so long without any message the agent is gone; it sends one every 2 s. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

/** An agent that waits for nobody sends more than this ahead. */
const MOST_AHEAD_BYTES = 4 * 1024 ** 2;

/**
 * What is not asked for yet stays at the agent, but for half a megabyte. A chunk counts as taken when the next one is
 * asked for.
 * @throws ClientError the agent's reason, `no-answer`, `cut-off`: messages were lost, `aborted`
 */
export async function* pacedQuery(
  connection: NatsConnection,
  subject: ReturnType<typeof agentLogs>,
  body: PayloadOf<ReturnType<typeof agentLogs>>,
  { silenceMs, signal }: PacedOptions,
): AsyncGenerator<Chunk, StreamEnd> {
  const arrived: Msg[] = [];
  let aheadBytes = 0;
  let received = 0;
  let taken = 0;
  let failure: ClientError | undefined;
  let wake = (): void => undefined;
  const fail = (message: string, reason: string): void => {
    failure ??= new ClientError(message, reason);
    wake();
  };
  const silent = (): void => fail('the host agent does not answer; is its host up? try: plinth hosts', 'no-answer');
  const watchdog = setTimeout(silent, silenceMs);
  const receive = (message: Msg): void => {
    watchdog.refresh();
    if (message.headers?.code === 503) return silent();
    const place = message.headers?.get(PLACE_HEADER) ?? '';
    const isOutput = message.headers?.get(STREAM_HEADER) !== 'exit' && message.data.length > 0;
    if (isOutput) received++;
    // An agent of before numbers nothing.
    if (place !== '' && Number(place) !== received)
      return fail('output was lost on its way: the bus was cut off; read it again', 'cut-off');
    if (message.data.length === 0) {
      if (message.reply) message.respond(Buffer.from(String(taken)));
      return;
    }
    aheadBytes += message.data.length;
    if (aheadBytes > MOST_AHEAD_BYTES)
      return fail('the host agent sends faster than it is read; update it', 'reader-too-slow');
    arrived.push(message);
    wake();
  };
  const subscription = connection.subscribe(createInbox(), {
    callback: (error, message) => {
      if (failure) return;
      if (error) fail(error.message, 'not-allowed');
      else receive(message);
    },
  });
  const stop = (): void => fail('interrupted', 'aborted');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  subscription.closed.then(
    () => fail('the connection to the bus ended; try again', 'aborted'),
    () => fail('the connection to the bus ended; try again', 'aborted'),
  );
  try {
    if (!failure) connection.publish(subject, JSON.stringify(body), { reply: subscription.getSubject() });
    for (;;) {
      if (failure) throw failure;
      const message = arrived.shift();
      if (!message) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const name = message.headers?.get(STREAM_HEADER);
      if (name !== 'stdout' && name !== 'stderr') return endOf(message);
      yield { name, bytes: message.data };
      taken++;
      aheadBytes -= message.data.length;
      if (message.reply) message.respond(Buffer.from(String(taken)));
    }
  } finally {
    failure ??= new ClientError('interrupted', 'aborted');
    clearTimeout(watchdog);
    signal.removeEventListener('abort', stop);
    subscription.unsubscribe();
  }
}

function endOf(message: Msg): StreamEnd {
  const reply = message.json<QueryReply<StreamEnd>>();
  if (!reply.ok) throw new ClientError(reply.message, reply.reason);
  return reply.data;
}
