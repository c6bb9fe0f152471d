/** Logs as a host agent sends them. */
import { type LogsQuery, PLACE_HEADER, type QueryReply, STREAM_HEADER, type StreamEnd } from '@plinth/contracts';
import { headers, type Msg, type NatsConnection, type Subscription } from 'nats';

export type Chunk = readonly [place: number, stream: 'stdout' | 'stderr', text: string];

const END: QueryReply<StreamEnd> = { ok: true, data: { exitCode: 0 } };

/** @param subject of one host, or of all */
export function serveLogs(
  connection: NatsConnection,
  subject: string,
  answer: (query: LogsQuery) => { readonly chunks: readonly Chunk[]; readonly end?: QueryReply<StreamEnd> },
): Subscription {
  return connection.subscribe(subject, {
    callback: (_error, message) => {
      const { chunks, end = END } = answer(message.json<LogsQuery>());
      for (const chunk of chunks) send(message, ...chunk);
      send(message, chunks.at(-1)?.[0] ?? 0, 'exit', JSON.stringify(end));
    },
  });
}

function send(message: Msg, place: number, stream: string, text: string): void {
  const head = headers();
  head.set(STREAM_HEADER, stream);
  head.set(PLACE_HEADER, String(place));
  message.respond(Buffer.from(text), { headers: head });
}
