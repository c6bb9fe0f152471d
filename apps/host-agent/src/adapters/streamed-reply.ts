/** A reply in many messages on core NATS, for exec and logs; notices when the requester is gone. */
import { type QueryReply, STREAM_HEADER } from '@plinth/contracts';
import { createInbox, headers, type Msg, type NatsConnection, type Subscription } from 'nats';

/** Below the server's usual limit of 1 MiB, so that other messages are sent in between. */
const CHUNK_BYTES = 128 * 1024;
/** Between two probes: empty messages that the requester answers while it is there. */
const PROBE_MS = 2_000;
/** A requester that answers no probe for so long is gone. */
const PATIENCE_MS = 15_000;

export class StreamedReply {
  private readonly inbox: string;
  private readonly answers: Subscription;
  private readonly controller = new AbortController();
  private readonly probe: NodeJS.Timeout;
  private ended = false;

  constructor(
    private readonly connection: NatsConnection,
    private readonly reply: string,
  ) {
    this.inbox = createInbox();
    let answeredAt = performance.now();
    // Within one account the server answers "no responders" (503) for a subject without a subscriber; between accounts
    // it does not.
    this.answers = connection.subscribe(this.inbox, {
      callback: (_error, message: Msg) => {
        if (message.headers?.code === 503) this.controller.abort();
        else answeredAt = performance.now();
      },
    });
    this.probe = setInterval(() => {
      if (performance.now() - answeredAt > PATIENCE_MS) this.controller.abort();
      this.publish('stdout', new Uint8Array(), this.inbox);
    }, PROBE_MS);
  }

  /** Aborted when the requester is gone. */
  get gone(): AbortSignal {
    return this.controller.signal;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length && !this.gone.aborted; from += CHUNK_BYTES)
      this.publish(stream, bytes.subarray(from, from + CHUNK_BYTES));
  }

  /** Waits until the server has received all writes, so that the sender is no faster than the connection. */
  flush(): Promise<void> {
    return this.connection.flush();
  }

  /** Ends the reply; further calls have no effect. */
  end(result: QueryReply<{ exitCode: number }>): void {
    if (this.ended) return;
    this.ended = true;
    this.publish('exit', Buffer.from(JSON.stringify(result)));
    clearInterval(this.probe);
    this.answers.unsubscribe();
  }

  private publish(stream: 'stdout' | 'stderr' | 'exit', body: Uint8Array, answerTo?: string): void {
    if (this.connection.isClosed()) return;
    const head = headers();
    head.set(STREAM_HEADER, stream);
    this.connection.publish(this.reply, body, { headers: head, reply: answerTo });
  }
}
