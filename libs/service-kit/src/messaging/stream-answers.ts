/**
 * Publishes to streams, and takes what they answer on one subscription. A request of the client makes a timer, a random
 * token and an error with its trace for each message, also when all goes well: more than all else of a publication.
 */
import { createInbox, ErrorCode, type Msg, MsgHdrsImpl, type NatsConnection, NatsError } from 'nats';

/** A stream's answer, as the server sends it. */
interface Answer {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: NonNullable<NatsError['api_error']>;
}

/** The stream's answer. */
export interface StoredAs {
  readonly stream: string;
  readonly sequence: number;
  /** The stream had the event before. */
  readonly duplicate: boolean;
}

interface Waiting {
  readonly subject: string;
  /** By a clock that does not jump. */
  readonly until: number;
  readonly resolve: (stored: StoredAs) => void;
  readonly reject: (error: unknown) => void;
}

/** The client asks headers of what it publishes for nothing but their bytes. */
class EncodedHeaders extends MsgHdrsImpl {
  constructor(private readonly bytes: Uint8Array) {
    super();
  }

  override encode(): Uint8Array {
    return this.bytes;
  }
}

const NO_RESPONDERS = 503;
const RADIX = 36;

export class StreamAnswers {
  /** By the last token of the subject on which the answer comes; the oldest first. */
  private readonly waiting = new Map<string, Waiting>();
  private inbox: string | undefined;
  private sent = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly timeoutMs: number,
  ) {}

  /** @param headers as bytes, with their first line @throws NatsError when no stream has answered that it is stored: publish again with the same id */
  store(subject: string, body: Uint8Array, headers: Uint8Array): Promise<StoredAs> {
    return new Promise((resolve, reject) => {
      this.inbox ??= this.listen();
      const token = (this.sent++).toString(RADIX);
      this.connection.publish(subject, body, { reply: this.inbox + token, headers: new EncodedHeaders(headers) });
      this.waiting.set(token, { subject, until: performance.now() + this.timeoutMs, resolve, reject });
      this.timer ??= this.expireIn(this.timeoutMs);
    });
  }

  /** @returns what the subjects of answers begin with */
  private listen(): string {
    const inbox = `${createInbox()}.`;
    this.connection.subscribe(`${inbox}*`, {
      callback: (error, message) => {
        if (error) this.failAll(error);
        else this.take(message.subject.slice(inbox.length), message);
      },
    });
    void this.connection.closed().then(() => this.failAll(NatsError.errorForCode(ErrorCode.Timeout)));
    void this.followRefusals();
    return inbox;
  }

  private take(token: string, message: Msg): void {
    const one = this.waiting.get(token);
    if (!one) return;
    this.waiting.delete(token);
    try {
      one.resolve(storedAs(message));
    } catch (error) {
      one.reject(error);
    }
  }

  /** The server does not answer what may not be published: it reports the subject to the connection. */
  private async followRefusals(): Promise<void> {
    for await (const { permissionContext } of this.connection.status()) {
      if (permissionContext?.operation !== 'publish') continue;
      const { subject } = permissionContext;
      for (const [token, one] of this.waiting)
        if (one.subject === subject) {
          this.waiting.delete(token);
          one.reject(new NatsError(`may not publish to ${subject}`, ErrorCode.PermissionsViolation));
          break;
        }
    }
  }

  private failAll(error: unknown): void {
    const all = [...this.waiting.values()];
    this.waiting.clear();
    this.inbox = undefined;
    for (const { reject } of all) reject(error);
  }

  private expireIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      const now = performance.now();
      this.timer = undefined;
      for (const [token, { until, reject }] of this.waiting) {
        if (until > now) {
          this.timer = this.expireIn(until - now);
          return;
        }
        this.waiting.delete(token);
        reject(NatsError.errorForCode(ErrorCode.Timeout));
      }
    }, ms).unref();
  }
}

function storedAs(message: Msg): StoredAs {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS)
    throw NatsError.errorForCode(ErrorCode.NoResponders);
  const { stream, seq, duplicate, error } = message.json<Answer>();
  if (error) throw Object.assign(new NatsError(error.description, String(error.code)), { api_error: error });
  if (!stream || seq === undefined) throw NatsError.errorForCode(ErrorCode.JetStreamInvalidAck);
  return { stream, sequence: seq, duplicate: duplicate === true };
}
