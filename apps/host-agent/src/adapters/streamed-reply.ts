/** A reply in many messages on core NATS, for exec and logs; notices when the requester is gone. */
import { PLACE_HEADER, type QueryReply, STREAM_HEADER } from '@plinth/contracts';
import { createInbox, headers, type Msg, type NatsConnection, type Subscription } from 'nats';

/** Below the server's usual limit of 1 MiB, so that other messages are sent in between. */
const CHUNK_BYTES = 128 * 1024;
/** Between two probes: empty messages that the requester answers while it is there. */
const PROBE_MS = 2_000;
/** A requester that answers no probe for so long is gone. */
const PATIENCE_MS = 15_000;
/** After so much output the requester is asked what it has taken. */
const ASK_BYTES = 64 * 1024;
/** What a requester has not taken yet, where its sender waits for it. */
const WINDOW_BYTES = 512 * 1024;

export class StreamedReply {
  private readonly inbox: string;
  private readonly answers: Subscription;
  private readonly controller = new AbortController();
  private readonly probe: NodeJS.Timeout;
  private ended = false;
  /** Number of the last message with output. */
  private place = 0;
  /** Messages that the requester has not taken, oldest first. */
  private readonly ahead: { readonly place: number; readonly bytes: number }[] = [];
  private aheadBytes = 0;
  private unaskedBytes = 0;
  private wake: () => void = () => undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly reply: string,
  ) {
    this.inbox = createInbox();
    let answeredAt = performance.now();
    // Within one account the server answers "no responders" (503) for a subject without a subscriber; between accounts
    // it does not.
    this.answers = connection.subscribe(`${this.inbox}.*`, {
      callback: (_error, message: Msg) => {
        if (message.headers?.code === 503) return this.abort();
        answeredAt = performance.now();
        this.take(message);
      },
    });
    this.probe = setInterval(() => {
      if (performance.now() - answeredAt > PATIENCE_MS) this.abort();
      this.publish('stdout', new Uint8Array(), true);
    }, PROBE_MS);
  }

  /** Aborted when the requester is gone. */
  get gone(): AbortSignal {
    return this.controller.signal;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length && !this.gone.aborted; from += CHUNK_BYTES) {
      const chunk = bytes.subarray(from, from + CHUNK_BYTES);
      this.place++;
      this.ahead.push({ place: this.place, bytes: chunk.length });
      this.aheadBytes += chunk.length;
      this.unaskedBytes += chunk.length;
      const asks = this.unaskedBytes >= ASK_BYTES;
      if (asks) this.unaskedBytes = 0;
      this.publish(stream, chunk, asks);
    }
  }

  /** Waits until the requester has taken what was written, but for a window; or is gone. */
  async room(): Promise<void> {
    while (this.aheadBytes > WINDOW_BYTES && !this.gone.aborted && !this.ended)
      await new Promise<void>((resolve) => (this.wake = resolve));
  }

  /** Ends the reply; further calls have no effect. */
  end(result: QueryReply<{ exitCode: number }>): void {
    if (this.ended) return;
    this.ended = true;
    this.publish('exit', Buffer.from(JSON.stringify(result)));
    clearInterval(this.probe);
    this.answers.unsubscribe();
    this.wake();
  }

  private abort(): void {
    this.controller.abort();
    this.wake();
  }

  /** An empty answer is one to the message that asked. */
  private take({ data, subject }: Msg): void {
    const taken = Number(
      data.length === 0 ? subject.slice(this.inbox.length + 1) : Buffer.from(data).toString('latin1'),
    );
    for (let [first] = this.ahead; first !== undefined && first.place <= taken; [first] = this.ahead) {
      this.aheadBytes -= first.bytes;
      this.ahead.shift();
    }
    this.wake();
  }

  private publish(stream: 'stdout' | 'stderr' | 'exit', body: Uint8Array, asks = false): void {
    if (this.connection.isClosed()) return;
    const head = headers();
    head.set(STREAM_HEADER, stream);
    head.set(PLACE_HEADER, String(this.place));
    this.connection.publish(this.reply, body, {
      headers: head,
      reply: asks ? `${this.inbox}.${this.place}` : undefined,
    });
  }
}
