/** Everything an operator or a test does with a running system, over NATS only. */
import {
  agentExec,
  agentLogs,
  agentStats,
  type BuildDetails,
  type ContainerDetails,
  type ContainersQuery,
  type ContainerStats,
  type ContainerStatus,
  type HostStatus,
  type ImageSummary,
  type LogsQuery,
  type Page,
  QUERIES,
  type QueryReply,
  STREAM_HEADER,
  STREAMS,
  type StorageStatus,
} from '@plinth/contracts';
import { connectNatsOnce, decodeEnvelope, EventPublisher, newId } from '@plinth/service-kit/messaging';
import { createInbox, type Msg, type NatsConnection, NatsError, type Subscription } from 'nats';

/** Something went wrong that a person can do something about. */
export class ClientError extends Error {
  constructor(
    message: string,
    /** e.g. `unreachable`, `timeout`, `container-not-found`. */
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'ClientError';
  }
}

export interface Fact {
  readonly subject: string;
  readonly id: string;
  readonly causationId?: string;
  readonly correlationId: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: Buffer;
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly onStderr?: (chunk: Uint8Array) => void;
  readonly timeoutSeconds?: number;
}

const QUERY_TIMEOUT_MS = 10_000;

export async function connectPlinth(options: { readonly natsUrl: string }): Promise<PlinthClient> {
  try {
    return new PlinthClient(await connectNatsOnce({ url: options.natsUrl, name: 'plinth-cli' }));
  } catch (error) {
    throw new ClientError(`NATS does not answer at ${options.natsUrl}; is the system up? try: plinth up --detach`, 'unreachable', { cause: error });
  }
}

export class PlinthClient {
  private readonly publisher: EventPublisher;

  constructor(readonly connection: NatsConnection) {
    this.publisher = new EventPublisher(connection, 'plinth-cli');
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  /**
   * Publishes a request and yields the facts that answer it; listens before it publishes, so that none is missed.
   * @param patterns subjects to listen to, e.g. `container.*`
   */
  async request(subject: string, data: object, patterns: readonly string[], id = newId()): Promise<FactStream> {
    const stream = await this.facts(patterns, (fact) => fact.causationId === id || fact.correlationId === id);
    try {
      await this.publisher.publish({ subject, data, id });
    } catch (error) {
      stream.close();
      throw new ClientError('the bus did not take the request; is JetStream on and has it room? try: plinth status', 'not-stored', { cause: error });
    }
    return Object.assign(stream, { requestId: id });
  }

  /** Facts from now on. */
  async facts(patterns: readonly string[], accept: (fact: Fact) => boolean = () => true): Promise<FactStream> {
    const stream = new FactStream(patterns.map((pattern) => this.connection.subscribe(pattern)), accept);
    await this.connection.flush();
    return stream;
  }

  async query<T>(subject: string, body: object): Promise<T> {
    let message: Msg;
    try {
      message = await this.connection.request(subject, JSON.stringify(body), { timeout: QUERY_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof NatsError) throw new ClientError(`nobody answers ${subject}; is the service up? try: plinth status`, 'no-answer', { cause: error });
      throw error;
    }
    return unwrap<T>(message);
  }

  /** All pages. */
  async list<T>(subject: string, body: object): Promise<T[]> {
    const items: T[] = [];
    for (let cursor: string | undefined; ; ) {
      const page: Page<T> = await this.query<Page<T>>(subject, { ...body, cursor });
      items.push(...page.items);
      if (page.next === undefined) return items;
      cursor = page.next;
    }
  }

  containers(query: Partial<ContainersQuery> = {}): Promise<ContainerStatus[]> {
    return this.list(QUERIES.containers, query);
  }
  images(name?: string): Promise<ImageSummary[]> {
    return this.list(QUERIES.images, { name });
  }
  hosts(): Promise<HostStatus[]> {
    return this.list(QUERIES.hosts, {});
  }
  storage(): Promise<StorageStatus[]> {
    return this.list(QUERIES.storage, {});
  }
  build(image: string): Promise<BuildDetails> {
    return this.query(QUERIES.build, { image });
  }

  /** By id, by an unambiguous beginning of the id (6 digits or more), or by name. */
  async container(text: string, tenant = 'default'): Promise<ContainerDetails> {
    if (/^[0-9a-f]{32}$/.test(text)) return this.query(QUERIES.container, { id: text });
    try {
      return await this.query(QUERIES.container, { name: text, tenant });
    } catch (error) {
      if (!(error instanceof ClientError) || error.reason === 'no-answer' || !/^[0-9a-f]{6,31}$/.test(text)) throw error;
      const matches = (await this.containers({ all: true })).filter((item) => item.id.startsWith(text));
      const [only] = matches;
      if (matches.length === 1 && only) return this.query(QUERIES.container, { id: only.id });
      throw matches.length === 0 ? error : new ClientError(`${text} is the beginning of ${matches.length} ids; give more of it`, 'ambiguous');
    }
  }

  async exec(host: string, containerId: string, command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const out: Uint8Array[] = [];
    const err: Uint8Array[] = [];
    const reply = await this.stream(
      agentExec(host),
      { containerId, command, env: options.env, stdin: options.stdin?.toString('base64'), timeoutSeconds: options.timeoutSeconds },
      (name, chunk) => {
        if (name === 'stdout') (options.onStdout ?? ((data) => out.push(data)))(chunk);
        else (options.onStderr ?? ((data) => err.push(data)))(chunk);
      },
    );
    const { exitCode } = unwrap<{ exitCode: number }>(reply);
    return { exitCode, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') };
  }

  async logs(host: string, query: LogsQuery, onChunk: (name: 'stdout' | 'stderr', chunk: Uint8Array) => void, signal?: AbortSignal): Promise<void> {
    unwrap(await this.stream(agentLogs(host), query, onChunk, signal));
  }

  async stats(host: string, containerId?: string): Promise<ContainerStats[]> {
    return this.query(agentStats(host), { containerId });
  }

  /** Messages of a stream since a time, then live when `follow`. */
  async history(subject: string, since: Date, follow: boolean, onFact: (fact: Fact) => void, signal?: AbortSignal): Promise<void> {
    const { AckPolicy, DeliverPolicy } = await import('nats');
    const jsm = await this.connection.jetstreamManager();
    const info = await jsm.consumers.add(STREAMS.events.name, {
      filter_subject: subject,
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: since.toISOString(),
      ack_policy: AckPolicy.None,
      inactive_threshold: 30e9,
      mem_storage: true,
    });
    let pending = info.num_pending;
    if (pending === 0 && !follow) return;
    const consumer = await this.connection.jetstream().consumers.get(STREAMS.events.name, info.name);
    const messages = await consumer.consume({ max_messages: 500 });
    signal?.addEventListener('abort', () => messages.stop());
    for await (const message of messages) {
      const envelope = decodeEnvelope(message.headers, { subject: message.subject, position: String(message.seq), storedAtMs: message.info.timestampNanos / 1e6 });
      onFact({ ...envelope, subject: message.subject, data: parse(message.data) });
      if (--pending <= 0 && !follow) messages.stop();
    }
  }

  private async stream(subject: string, body: object, onChunk: (name: 'stdout' | 'stderr', chunk: Uint8Array) => void, signal?: AbortSignal): Promise<Msg> {
    const inbox = createInbox();
    const subscription = this.connection.subscribe(inbox);
    signal?.addEventListener('abort', () => subscription.unsubscribe());
    this.connection.publish(subject, JSON.stringify(body), { reply: inbox });
    for await (const message of subscription) {
      if (message.headers?.code === 503) throw new ClientError('the host agent does not answer; is its host up? try: plinth hosts', 'no-answer');
      const name = message.headers?.get(STREAM_HEADER);
      if (name === 'stdout' || name === 'stderr') onChunk(name, message.data);
      else {
        subscription.unsubscribe();
        return message;
      }
    }
    throw new ClientError('ended before the answer', 'aborted');
  }
}

/** Facts as they arrive, until closed. */
export class FactStream {
  /** Of the request that is answered. */
  readonly requestId: string = '';
  private readonly seen: Fact[] = [];
  private readonly waiting = new Set<() => void>();
  private closed = false;

  constructor(
    private readonly subscriptions: readonly Subscription[],
    accept: (fact: Fact) => boolean,
  ) {
    for (const subscription of subscriptions) void this.pump(subscription, accept);
  }

  private async pump(subscription: Subscription, accept: (fact: Fact) => boolean): Promise<void> {
    for await (const message of subscription) {
      const envelope = decodeEnvelope(message.headers, { subject: message.subject, position: '', storedAtMs: Date.now() });
      const fact = { ...envelope, subject: message.subject, data: parse(message.data) };
      if (!accept(fact)) continue;
      this.seen.push(fact);
      for (const wake of this.waiting) wake();
    }
  }

  /** The first fact, already arrived or still to come, that fits. @throws ClientError `timeout` */
  async first(fits: (fact: Fact) => boolean, timeoutMs: number, nextStep = 'try: plinth status'): Promise<Fact> {
    const deadline = performance.now() + timeoutMs;
    for (let at = 0; ; ) {
      for (; at < this.seen.length; at++) {
        const fact = this.seen[at];
        if (fact && fits(fact)) return fact;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw new ClientError(`no answer within ${Math.round(timeoutMs / 1000)} s; ${nextStep}`, 'timeout');
      if (this.closed) throw new ClientError('nobody listens any more', 'closed');
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, left);
        this.waiting.add(wake);
      });
    }
  }

  /** Whoever still waits gets a ClientError `closed`. */
  close(): void {
    this.closed = true;
    for (const wake of [...this.waiting]) wake();
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }
}

function parse(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : { value };
  } catch (error) {
    if (error instanceof SyntaxError) return { unreadable: Buffer.from(body).toString('base64').slice(0, 200) };
    throw error;
  }
}

function unwrap<T>(message: Msg): T {
  const reply = JSON.parse(Buffer.from(message.data).toString('utf8')) as QueryReply<T>;
  if (!reply.ok) throw new ClientError(reply.message, reply.reason);
  return reply.data;
}
