/**
 * This host's queries on core NATS: their subjects contain its name, so they are not in the shared catalogue of
 * handlers.
 */
import {
  type agentExec,
  type agentLogs,
  type agentStats,
  contractFor,
  contractOf,
  type Decoded,
  decodePayload,
  type PayloadOf,
  type QueryReply,
  type ReplyOf,
} from '@plinth/contracts';
import { encodeReply, InFlight, type Logger } from '@plinth/service-kit';
import type { Msg, NatsConnection, Subscription } from 'nats';
import { StreamedReply } from './streamed-reply.js';

type StatsSubject = ReturnType<typeof agentStats>;
type StreamedSubject = ReturnType<typeof agentExec | typeof agentLogs>;

/** Queries of each kind in progress at once. */
const CONCURRENCY = 256;

export class QueryServer {
  private readonly subscriptions: Subscription[] = [];
  private readonly replies = new Set<StreamedReply>();

  constructor(
    private readonly connection: NatsConnection,
    private readonly logger: Logger,
  ) {}

  /** Answers a query with one reply. */
  serve<S extends StatsSubject>(subject: S, answer: (query: PayloadOf<S>) => Promise<QueryReply<ReplyOf<S>>>): void {
    this.listen(subject, async (message) => {
      const decoded = decodeQuery(subject, message);
      const reply: QueryReply<ReplyOf<S>> = decoded.ok
        ? await answer(decoded.value).catch((error: unknown) => this.failed(subject, error))
        : invalid(decoded.problems);
      message.respond(encodeReply<S>(subject, reply));
    });
  }

  /** Answers a query with many messages, the last one with the header `exit`. */
  stream<S extends StreamedSubject>(
    subject: S,
    answer: (query: PayloadOf<S>, reply: StreamedReply) => Promise<QueryReply<ReplyOf<S>>>,
  ): void {
    this.listen(subject, async (message) => {
      if (message.reply === undefined || message.reply === '') return;
      const reply = new StreamedReply(this.connection, message.reply);
      this.replies.add(reply);
      const decoded = decodeQuery(subject, message);
      const result = decoded.ok
        ? await answer(decoded.value, reply).catch((error: unknown) => this.failed(subject, error))
        : invalid(decoded.problems);
      reply.end(result);
      this.replies.delete(reply);
    });
  }

  close(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    for (const reply of this.replies)
      reply.end({ ok: false, reason: 'unavailable', message: 'the host agent is stopping' });
    this.replies.clear();
  }

  private listen(subject: string, handle: (message: Msg) => Promise<void>): void {
    const inFlight = new InFlight(CONCURRENCY);
    const subscription = this.connection.subscribe(subject);
    this.subscriptions.push(subscription);
    const pump = async (): Promise<void> => {
      for await (const message of subscription) {
        await inFlight.start(undefined, () =>
          handle(message).catch((error: unknown) =>
            this.logger.error({ err: error, subject }, 'query could not be answered'),
          ),
        );
      }
    };
    pump().catch((error: unknown) => this.logger.error({ err: error, subject }, 'queries are no longer served'));
  }

  private failed(
    subject: string,
    error: unknown,
  ): { readonly ok: false; readonly reason: string; readonly message: string } {
    this.logger.error({ err: error, subject }, 'query failed');
    return {
      ok: false,
      reason: 'internal-error',
      message: error instanceof Error ? error.message.slice(0, 500) : 'unknown',
    };
  }
}

function decodeQuery<S extends StatsSubject | StreamedSubject>(subject: S, { data }: Msg): Decoded<PayloadOf<S>> {
  const { payload } = contractFor(subject) ?? contractOf(subject);
  return decodePayload(payload, data.length === 0 ? Buffer.from('{}') : data) as Decoded<PayloadOf<S>>;
}

function invalid(problems: readonly { readonly path: string; readonly message: string }[]): {
  readonly ok: false;
  readonly reason: string;
  readonly message: string;
} {
  return {
    ok: false,
    reason: 'invalid-request',
    message: problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '),
  };
}
