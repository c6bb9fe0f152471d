/**
 * Provisioners in processes of their own, on a real NATS and PostgreSQL, with scripted hosts; and the facts that were
 * published.
 */
import { randomBytes } from 'node:crypto';
import { FactLog } from '@plinth/client';
import { type QueryReply, QUERIES, STREAMS, SUBJECTS } from '@plinth/contracts';
import {
  type RefusedStart,
  refusedStart,
  ScriptedHosts,
  ServiceProcess,
  startNats,
  startPostgres,
  type TestServer,
} from '@plinth/testkit';
import { connect, headers, type Msg, type JetStreamClient, type NatsConnection } from 'nats';
import pg from 'pg';

/** Less than what jest gives a test, so that a failure names what did not come. */
const PATIENCE_SECONDS = 250;
/** After a wait of the same suite was in vain: what depends on it does not come either. */
const SHORT_PATIENCE_SECONDS = 10;
/** Between two looks whether a provisioner has ended. */
const LOOK_MS = 500;

export interface Fact {
  readonly subject: string;
  readonly data: Record<string, unknown>;
}

export class ProvisionerSuite {
  private log = new FactLog<Fact>();
  readonly provisioners: ServiceProcess[] = [];
  /** What did not come first. */
  private inVain: string | undefined;

  private constructor(
    private readonly nats: TestServer,
    private readonly postgres: TestServer,
    readonly connection: NatsConnection,
    readonly jetstream: JetStreamClient,
    readonly hosts: ScriptedHosts,
    private readonly environment: Readonly<Record<string, string>>,
  ) {}

  static async open(
    provisioners: number,
    hosts: readonly string[],
    capacity: number,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ProvisionerSuite> {
    const [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
    const connection = await connect({ servers: nats.url });
    const jetstream = connection.jetstream({ timeout: 60_000 });
    const suite = new ProvisionerSuite(
      nats,
      postgres,
      connection,
      jetstream,
      new ScriptedHosts(connection, jetstream, hosts, capacity),
      environment,
    );
    await Promise.all(
      Array.from({ length: provisioners }, (_, index) => suite.startProvisioner(`provisioner-${index + 1}`)),
    );
    suite.listen();
    suite.hosts.start();
    return suite;
  }

  /** Since the last {@link forgetFacts}. */
  get facts(): readonly Fact[] {
    return this.log.all;
  }

  forgetFacts(): void {
    this.log = new FactLog();
  }

  get natsPort(): number {
    return this.nats.port;
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  async close(): Promise<void> {
    await this.hosts.stop();
    await this.connection.close();
    await Promise.all(this.provisioners.map((provisioner) => provisioner.end()));
    await Promise.all([this.nats.stop(), this.postgres.stop()]);
  }

  async startProvisioner(id: string, change: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    const provisioner = await ServiceProcess.start('provisioner', { ...this.environmentOf(id), ...change });
    this.provisioners.push(provisioner);
    return provisioner;
  }

  /** Starts a provisioner that must not come up, and waits for its end. */
  refusedStart(change: Readonly<Record<string, string>>): RefusedStart {
    return refusedStart('provisioner', { ...this.environmentOf('provisioner-refused'), ...change });
  }

  /** Rows of the provisioners' database. */
  async rows<T extends object>(text: string): Promise<readonly T[]> {
    const client = new pg.Client({ connectionString: this.postgres.url, options: '-c search_path=provisioner' });
    await client.connect();
    try {
      return (await client.query<T>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Changes to the provisioners' database that they see all at once, when the work is done. */
  async inTransaction(work: (query: (text: string) => Promise<unknown>) => Promise<void>): Promise<void> {
    const client = new pg.Client({ connectionString: this.postgres.url, options: '-c search_path=provisioner' });
    await client.connect();
    try {
      await client.query('BEGIN');
      await work((text) => client.query(text));
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
  }

  private environmentOf(id: string): Record<string, string> {
    return {
      NATS_URL: this.nats.url,
      DATABASE_URL: this.postgres.url,
      PLINTH_SERVICE_ID: id,
      ...this.environment,
    };
  }

  /** @returns the request's id, the correlation id of all its consequences */
  async ask(subject: string, data: object): Promise<string> {
    const id = randomBytes(16).toString('hex');
    const envelope = headers();
    envelope.set('ce-id', id);
    await this.jetstream.publish(subject, JSON.stringify(data), { headers: envelope });
    return id;
  }

  async query<T>(subject: string, body: object): Promise<QueryReply<T>> {
    // A provisioner that is killed takes its queries in progress with it.
    for (let attempts = 1; ; attempts++) {
      try {
        return (await this.connection.request(subject, JSON.stringify(body), { timeout: 5_000 })).json<QueryReply<T>>();
      } catch (error) {
        this.checkProvisioners(subject);
        if (attempts === 12) throw error;
      }
    }
  }

  async answer<T>(subject: string, body: object): Promise<T> {
    const reply = await this.query<T>(subject, body);
    if (!reply.ok) throw new Error(`${subject}: ${reply.reason}: ${reply.message}`);
    return reply.data;
  }

  of(subject: string, match: Readonly<Record<string, unknown>> = {}): readonly Record<string, unknown>[] {
    return this.facts.filter((fact) => isAbout(fact, subject, match)).map((fact) => fact.data);
  }

  async fact(
    subject: string,
    match: Readonly<Record<string, unknown>>,
    seconds = PATIENCE_SECONDS,
  ): Promise<Record<string, unknown>> {
    const what = `${subject} ${JSON.stringify(match)}`;
    for (const deadline = this.deadline(seconds); ;) {
      const left = Math.max(0, deadline - performance.now());
      const found = await this.log.within((fact) => isAbout(fact, subject, match), Math.min(left, LOOK_MS));
      if (found) return found.data;
      this.checkProvisioners(what);
      if (left <= LOOK_MS) throw this.notWithin(seconds, what);
    }
  }

  /** Resolves when every fact of what is decided has arrived here. */
  async allPublished(): Promise<void> {
    const unsent = 'SELECT 1 FROM outbox_events WHERE sent_at IS NULL';
    await this.until(async () => (await this.rows(unsent)).length === 0, 'what is decided is published');
    // The server has delivered here what it has acknowledged to others.
    await this.connection.flush();
  }

  async until<T>(
    read: () => T | undefined | false | Promise<T | undefined | false>,
    what: string,
    seconds = PATIENCE_SECONDS,
  ): Promise<T> {
    for (
      const deadline = this.deadline(seconds);
      performance.now() < deadline;
      await new Promise((resolve) => setTimeout(resolve, 20))
    ) {
      const found = await read();
      if (found) return found;
      this.checkProvisioners(what);
    }
    throw this.notWithin(seconds, what);
  }

  /** Of the monotonic clock. */
  private deadline(seconds: number): number {
    const patience = this.inVain === undefined ? seconds : Math.min(seconds, SHORT_PATIENCE_SECONDS);
    return performance.now() + patience * 1000;
  }

  /** @throws when one has ended that no test has ended */
  private checkProvisioners(what: string): void {
    for (const { unaskedEnd } of this.provisioners)
      if (unaskedEnd !== undefined) throw new Error(`${unaskedEnd}; waited for: ${what}`);
  }

  private notWithin(seconds: number, what: string): Error {
    const before = this.inVain;
    this.inVain ??= what;
    return new Error(
      before === undefined
        ? `not within ${seconds} s: ${what}; ${this.summary()}`
        : `not within ${Math.min(seconds, SHORT_PATIENCE_SECONDS)} s, after this was in vain: ${before}; ${what}; ${this.summary()}`,
    );
  }

  /** What was published, for a failure: how often, the last of it, and the first refusals. */
  private summary(): string {
    const counts = new Map<string, number>();
    for (const { subject } of this.facts) counts.set(subject, (counts.get(subject) ?? 0) + 1);
    const refusals = this.of(SUBJECTS.containerRejected).slice(0, 3);
    return JSON.stringify({ counts: Object.fromEntries(counts), refusals, last: this.facts.slice(-5) });
  }

  /** Makes a version promoted, and held by the storage node unless it is to be missing there. */
  async promote(name: string, version: string, staged = true): Promise<void> {
    const contentDigest = `sha256:${randomBytes(32).toString('hex')}`;
    const sources = ['http://127.0.0.1:1/x'];
    await this.jetstream.publish(
      SUBJECTS.imagePromoted,
      JSON.stringify({
        name,
        version,
        contentDigest,
        manifestDigest: contentDigest,
        archiveDigest: contentDigest,
        archiveBytes: 1,
        unpackedBytes: 1,
        sources,
      }),
    );
    if (staged) this.hosts.images.push({ name, version, contentDigest });
    await this.until(
      async () =>
        (
          await this.answer<{ items: { version: string; state: string; storageNodes: string[] }[] }>(QUERIES.images, {
            name,
          })
        ).items.some(
          (item) => item.version === version && item.state === 'promoted' && (!staged || item.storageNodes.length > 0),
        ),
      `${name}@${version} is known`,
    );
  }

  /** @returns when all of them are reported as running */
  async run(prefix: string, count: number, more: object = {}): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (_, index) =>
        this.ask(SUBJECTS.containerRequested, { name: `${prefix}-${index}`, ...more }),
      ),
    );
    await this.until(
      () =>
        this.facts.filter(
          (fact) => fact.subject === SUBJECTS.containerStarted && String(fact.data['name']).startsWith(`${prefix}-`),
        ).length >= count,
      `${count} containers ${prefix} run`,
    );
  }

  /** Only the needed subjects: a subscription to all would also keep the inboxes of dead processes open. */
  private listen(): void {
    const seen = new Set<string>();
    const keep = (message: Msg): void => {
      const { subject } = message;
      if (subject.endsWith('.requested')) return;
      // A provisioner that dies between publishing and recording it publishes again, under the same id: the stream
      // drops it, subscribers receive both.
      const id = message.headers?.get('ce-id') ?? '';
      if (id !== '' && seen.has(id)) return;
      seen.add(id);
      this.log.add({ subject, data: JSON.parse(message.string()) as Record<string, unknown> });
    };
    for (const subject of STREAMS.events.subjects)
      this.connection.subscribe(subject, { callback: (error, message) => error === null && keep(message) });
  }
}

function isAbout(fact: Fact, subject: string, match: Readonly<Record<string, unknown>>): boolean {
  return fact.subject === subject && Object.entries(match).every(([key, value]) => fact.data[key] === value);
}
