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
  type QuerySubject,
  type PayloadOf,
  type ReplyOf,
  type RequestSubject,
  type StorageStatus,
  type StreamEnd,
} from '@plinth/contracts';
import {
  type BusCredentials,
  connectNatsOnce,
  CredentialsError,
  EventPublisher,
  newId,
} from '@plinth/service-kit/messaging';
import { ErrorCode, type Msg, type NatsConnection, NatsError } from 'nats';
import { ClientError } from './errors.js';
import { ALL_FACTS, type Fact, type FactFilter, FactStream, fitsFilter } from './facts.js';
import { type HistoryOptions, readHistory } from './history.js';
import { type OnChunk, streamQuery } from './streamed-query.js';

export { ClientError } from './errors.js';
export { type Fact, type FactFilter, FactStream } from './facts.js';

export interface RequestOptions {
  /** Id of the request, the key of its idempotency; absent: random. */
  readonly id?: string;
  /** Subjects of the facts to listen to; absent: every fact. */
  readonly facts?: readonly string[];
}

export interface ExecResult {
  readonly exitCode: number;
  /** Empty when `onStdout` got it. */
  readonly stdout: string;
  /** Empty when `onStderr` got it. */
  readonly stderr: string;
}

export interface ExecOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: Buffer | string;
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly onStderr?: (chunk: Uint8Array) => void;
  readonly timeoutSeconds?: number;
  /** Ends the command. */
  readonly signal?: AbortSignal;
}

/** Queries that are answered in pages. */
type ListSubject = (typeof QUERIES)['containers' | 'images' | 'hosts' | 'storage' | 'rollouts' | 'rolloutMembers'];
type ItemOf<S extends ListSubject> = ReplyOf<S>['items'][number];

const QUERY_TIMEOUT_MS = 10_000;
const PUBLISH_ATTEMPTS = 3;
const NOT_ALLOWED = new Set<string>([ErrorCode.AuthorizationViolation, ErrorCode.AuthenticationExpired]);

/** One try. @throws ClientError `unreachable`, `not-allowed` */
export async function connectPlinth(options: {
  readonly natsUrl: string;
  readonly credentials?: BusCredentials;
  /** Who asks: requests carry it. */
  readonly actor?: string;
}): Promise<PlinthClient> {
  try {
    return new PlinthClient(
      await connectNatsOnce({ url: options.natsUrl, name: 'plinth-cli', credentials: options.credentials }),
      options.actor,
    );
  } catch (error) {
    if (error instanceof CredentialsError) throw new ClientError(error.message, 'not-allowed', { cause: error });
    const where = withoutPassword(options.natsUrl);
    if (error instanceof NatsError && NOT_ALLOWED.has(error.code)) {
      throw new ClientError(
        `NATS at ${where} does not let us in; name the file with an operator's key in NATS_NKEY_FILE`,
        'not-allowed',
        { cause: error },
      );
    }
    throw new ClientError(
      `NATS does not answer at ${where}; is the system up? try: plinth up --detach`,
      'unreachable',
      { cause: error },
    );
  }
}

/** A connection to the system; close it in the end. */
export class PlinthClient {
  private readonly publisher: EventPublisher;

  /** @param actor who asks */
  constructor(
    readonly connection: NatsConnection,
    private readonly actor?: string,
  ) {
    this.publisher = new EventPublisher(connection, 'plinth-cli');
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  /**
   * Publishes a request and gives the facts that answer it; listens before it publishes, so that none is missed.
   * Resolves when the bus has stored the request. Close the stream in the end.
   * @param options a list stands for `{ facts: list }`
   * @throws ClientError `not-stored`
   */
  async request<S extends RequestSubject>(
    subject: S,
    data: PayloadOf<S>,
    options: readonly string[] | RequestOptions = {},
  ): Promise<FactStream> {
    const { id = newId(), facts = ALL_FACTS } = isList(options) ? { facts: options } : options;
    const stream = this.open(
      facts,
      (fact) => fact.causationId === id || fact.correlationId === id || fact.data.requestId === id,
      id,
    );
    try {
      await stream.ready;
      stream.duplicate = await this.publish(subject, data, id);
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  /**
   * Publishes a request of an unknown kind, as it came, without waiting for its answer.
   * @throws ClientError `not-stored`
   */
  async publishUnchecked(
    subject: string,
    data: object,
    { id, causationId }: { readonly id: string; readonly causationId?: string },
  ): Promise<void> {
    await this.publish(subject, data, id, causationId);
  }

  /** Facts from now on. */
  async facts(
    subjects: readonly string[] = ALL_FACTS,
    accept: (fact: Fact) => boolean = () => true,
  ): Promise<FactStream> {
    const stream = this.open(subjects, accept);
    await stream.ready;
    return stream;
  }

  /**
   * The first fact from now on that fits; listens from the moment of the call, so call it before what causes the fact.
   * @throws ClientError `timeout`
   */
  async waitForFact(
    filter: FactFilter,
    predicate: (fact: Fact) => boolean = () => true,
    timeoutMs = 30_000,
  ): Promise<Fact> {
    const stream = this.open(filter.subjects ?? ALL_FACTS, (fact) => fitsFilter(fact, filter));
    try {
      return await stream.first(predicate, timeoutMs);
    } finally {
      stream.close();
    }
  }

  /**
   * One question, one answer, whose type follows from the subject.
   * @throws ClientError with the service's reason, or `no-answer`
   */
  async query<S extends QuerySubject>(subject: S, body: PayloadOf<S>): Promise<ReplyOf<S>> {
    let message: Msg;
    try {
      message = await this.connection.request(subject, JSON.stringify(body), { timeout: QUERY_TIMEOUT_MS });
    } catch (error) {
      if (error instanceof NatsError)
        throw new ClientError(`no service answers ${subject}; is the ${serviceOf(subject)} up?`, 'no-answer', {
          cause: error,
        });
      throw error;
    }
    return unwrap<ReplyOf<S>>(message);
  }

  /** The pages of a list, as they come; at least one, which may be empty. */
  async *pages<S extends ListSubject>(subject: S, body: PayloadOf<S>): AsyncGenerator<readonly ItemOf<S>[]> {
    for (let cursor: string | undefined = (body as { readonly cursor?: string }).cursor; ;) {
      const page: Page<unknown> = await this.query<ListSubject>(subject, { ...body, cursor });
      yield page.items as readonly ItemOf<S>[];
      if (page.next === undefined) return;
      cursor = page.next;
    }
  }

  /** All pages of a list. */
  async list<S extends ListSubject>(subject: S, body: PayloadOf<S>): Promise<ItemOf<S>[]> {
    const items: ItemOf<S>[] = [];
    for await (const page of this.pages(subject, body)) items.push(...page);
    return items;
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

  /** What the image-builder has recorded of a version, `name@version`. */
  build(image: string): Promise<BuildDetails> {
    return this.query(QUERIES.build, { image });
  }

  /** One container by id, by name within a tenant, or by an unambiguous beginning of the id (6 digits or more). */
  async container(text: string, tenant = 'default'): Promise<ContainerDetails> {
    if (/^[0-9a-f]{32}$/.test(text)) return this.query(QUERIES.container, { id: text });
    try {
      return await this.query(QUERIES.container, { name: text, tenant });
    } catch (error) {
      if (!(error instanceof ClientError) || error.reason === 'no-answer' || !/^[0-9a-f]{6,31}$/.test(text))
        throw error;
      // A provisioner that does not know the digits yet answers with all.
      const matches = (await this.containers({ all: true, idPrefix: text })).filter(({ id }) => id.startsWith(text));
      const [only] = matches;
      if (matches.length === 1 && only) return this.query(QUERIES.container, { id: only.id });
      throw matches.length === 0
        ? error
        : new ClientError(`${text} is the beginning of ${matches.length} ids; give more of it`, 'ambiguous');
    }
  }

  /** Runs a command in a running container. @throws ClientError when it could not be run; its exit code is no error */
  async exec(
    host: string,
    containerId: string,
    command: readonly string[],
    options: ExecOptions = {},
  ): Promise<ExecResult> {
    const out: Uint8Array[] = [];
    const err: Uint8Array[] = [];
    const {
      env,
      stdin,
      timeoutSeconds,
      onStdout = (chunk) => void out.push(chunk),
      onStderr = (chunk) => void err.push(chunk),
    } = options;
    const reply = await streamQuery(
      this.connection,
      agentExec(host),
      {
        containerId,
        command,
        env,
        stdin: stdin === undefined ? undefined : Buffer.from(stdin).toString('base64'),
        timeoutSeconds,
      },
      (name, chunk) => (name === 'stdout' ? onStdout : onStderr)(chunk),
      options.signal,
    );
    const { exitCode } = unwrap<StreamEnd>(reply);
    return { exitCode, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') };
  }

  /** A container's output, in chunks of whole lines; with `follow` until it is removed or the signal aborts. */
  async logs(host: string, query: LogsQuery, onChunk: OnChunk, signal?: AbortSignal): Promise<void> {
    unwrap(await streamQuery(this.connection, agentLogs(host), query, onChunk, signal));
  }

  /** Memory and mounts of one or all running containers of a host. */
  async stats(host: string, containerId?: string): Promise<ContainerStats[]> {
    return this.query(agentStats(host), { containerId });
  }

  /** Stored messages since a time, then live when `follow`. */
  history(options: HistoryOptions, onFact: (fact: Fact) => void): Promise<void> {
    return readHistory(this.connection, options, onFact);
  }

  /** Subscribes before it returns; what is published afterwards on this connection is seen. */
  private open(subjects: readonly string[], accept: (fact: Fact) => boolean, requestId?: string): FactStream {
    const subscriptions = subjects.map((subject) => this.connection.subscribe(subject));
    const ready = this.connection.flush();
    // A caller that does not wait for it learns of a lost connection from the stream's end.
    ready.catch(() => undefined);
    return new FactStream(subscriptions, accept, requestId, ready);
  }

  /** @returns whether the bus had it already */
  private async publish(subject: string, data: object, id: string, causationId?: string): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { duplicate } = await this.publisher.publishUnchecked(subject, data, {
          id,
          causationId,
          actor: this.actor,
        });
        // A second try may find what the first one stored: that is this request, no other.
        return duplicate && attempt === 1;
      } catch (error) {
        if (attempt < PUBLISH_ATTEMPTS && error instanceof NatsError && error.code === 'TIMEOUT') continue;
        throw new ClientError(
          'the bus did not take the request; is JetStream on and has it room? try: plinth status',
          'not-stored',
          { cause: error },
        );
      }
    }
  }
}

function isList(options: readonly string[] | RequestOptions): options is readonly string[] {
  return Array.isArray(options);
}

function unwrap<T>(message: Msg): T {
  const reply = JSON.parse(Buffer.from(message.data).toString('utf8')) as QueryReply<T>;
  if (!reply.ok) throw new ClientError(reply.message, reply.reason);
  return reply.data;
}

function serviceOf(subject: string): string {
  if (subject === QUERIES.build || subject === QUERIES.imageDiff || subject === QUERIES.imagePlan)
    return 'image-builder';
  return subject.startsWith('agent.') ? 'host' : 'provisioner';
}

function withoutPassword(url: string): string {
  return url.replaceAll(/\/\/[^@/,]*@/g, '//');
}
