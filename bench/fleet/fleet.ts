/** The processes of a run: servers, provisioners, and the hosts that this program plays. */
import { randomBytes } from 'node:crypto';
import { join, relative, resolve } from 'node:path';
import { SUBJECTS } from '@plinth/contracts';
import { ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type JetStreamClient, type NatsConnection } from 'nats';
import pg from 'pg';
import { type Cost, costOf, costOfPostgres, type Statement } from './costs.js';
import type { FleetOptions } from './options.js';
import { SimulatedHosts } from './simulated-hosts.js';

const PATIENCE_MS = 300_000;
export const THIS_PROGRAM = 'this program, with all hosts';
/** When hosts are to be lost. */
export const LOST_SECONDS = 30;
const SHOWN_STATEMENTS = 15;

/** What it cost that all hosts joined. */
export interface Joining {
  readonly seconds: number;
  readonly before: ReadonlyMap<string, Cost>;
  readonly after: ReadonlyMap<string, Cost>;
}

export class Fleet {
  joining: Joining | undefined;

  private constructor(
    private readonly options: FleetOptions,
    private readonly nats: TestServer,
    private readonly postgres: TestServer,
    private readonly provisioners: ServiceProcess[],
    readonly connection: NatsConnection,
    readonly jetstream: JetStreamClient,
    readonly database: pg.Client,
    readonly hosts: SimulatedHosts,
  ) {}

  /** @param capacity containers of each host */
  static async open(options: FleetOptions, capacity: number, log: (line: string) => void): Promise<Fleet> {
    const [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
    if (options.statements) await countStatements(postgres);
    const connection = await connect({ servers: nats.url });
    const jetstream = connection.jetstream({ timeout: 60_000 });
    const database = new pg.Client({ connectionString: postgres.url, options: '-c search_path=provisioner' });
    await database.connect();
    const hosts = new SimulatedHosts(
      connection,
      jetstream,
      options.hosts,
      capacity,
      options.heartbeatSeconds,
      options.network,
      options.storageNodes,
      options.groups > 0,
      options.ownImages,
    );
    const fleet = new Fleet(options, nats, postgres, [], connection, jetstream, database, hosts);
    for (let index = 0; index < options.provisioners; index++) await fleet.startProvisioner(index);
    log(`${options.provisioners} provisioners run`);
    await fleet.provideImage();
    const begin = performance.now();
    const before = fleet.costs();
    hosts.start(options.joinAtOnce);
    const joined = async (): Promise<number> =>
      fleet.count(`SELECT count(*) FROM hosts WHERE state = 'ready' AND network = ${options.network}`);
    await fleet.until(
      async () => (await joined()) === options.hosts,
      `${options.hosts} hosts are ready`,
      async () => log(`${await joined()} of ${options.hosts} hosts have joined`),
    );
    fleet.joining = { seconds: (performance.now() - begin) / 1_000, before, after: fleet.costs() };
    return fleet;
  }

  async close(): Promise<void> {
    this.hosts.stop();
    await this.connection.close();
    await this.database.end();
    await Promise.all(this.provisioners.map((provisioner) => provisioner.end()));
    await Promise.all([this.nats.stop(), this.postgres.stop()]);
  }

  /** Kills the first provisioner at once, and starts another in its place. */
  async killOne(): Promise<void> {
    await this.provisioners[0]?.end('SIGKILL');
    await this.startProvisioner(0);
  }

  /** By name, the present costs of every process. */
  costs(): ReadonlyMap<string, Cost> {
    return new Map([
      ...this.provisioners.map(({ pid }, index) => [`provisioner ${index + 1}`, costOf(pid)] as const),
      ['nats-server', costOf(this.nats.identity.pid)],
      ['PostgreSQL', costOfPostgres(this.postgres.identity.pid)],
      [THIS_PROGRAM, costOf(process.pid)],
    ]);
  }

  /** How long the provisioners held requests for containers so far: from their arrival to the commit. */
  async deciding(): Promise<{ readonly count: number; readonly seconds: number }> {
    const found = { count: 0, seconds: 0 };
    for (const { url } of this.provisioners) {
      const text = await (await fetch(`${url}/metrics`)).text();
      const valueOf = (kind: string): number =>
        Number(
          new RegExp(`^plinth_event_handling_seconds_${kind}\\{subject="container.requested"\\} (\\S+)$`, 'm').exec(
            text,
          )?.[1] ?? 0,
        );
      found.count += valueOf('count');
      found.seconds += valueOf('sum');
    }
    return found;
  }

  async bytes(): Promise<{ readonly database: number; readonly bus: number }> {
    const jsm = await this.connection.jetstreamManager();
    let bus = 0;
    for await (const stream of jsm.streams.list()) bus += stream.state.bytes;
    return { database: await this.count('SELECT pg_database_size(current_database()) AS count'), bus };
  }

  /** What the provisioners logged as a warning or an error, the last of each. */
  complaints(): readonly string[] {
    return this.provisioners.flatMap(({ log }) =>
      log
        .filter(({ level }) => Number(level) >= 40 || ['warn', 'error', 'fatal'].includes(String(level)))
        .slice(-3)
        .map((line) => JSON.stringify(line)),
    );
  }

  async count(text: string): Promise<number> {
    return Number((await this.database.query<{ count: string }>(text)).rows[0]?.count);
  }

  /** @throws Error when it does not become true in time */
  async until(holds: () => Promise<boolean>, what: string, progress?: () => Promise<void>): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let turn = 1; !(await holds()); turn++) {
      if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
      if (turn % 50 === 0) await progress?.();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** As the server does by itself within a minute: plans of statements know how many rows there are. */
  async analyze(): Promise<void> {
    await this.database.query('ANALYZE');
  }

  /** Statements are counted from here on. */
  async forgetStatements(): Promise<void> {
    if (this.options.statements) await this.database.query('SELECT public.pg_stat_statements_reset()');
  }

  /** The statements that took most of the database's time since they were forgotten; none when they are not counted. */
  async statements(): Promise<readonly Statement[]> {
    if (!this.options.statements) return [];
    const { rows } = await this.database.query<Statement>(
      `SELECT calls::int, total_exec_time::float8 AS ms, rows::int, regexp_replace(query, '\\s+', ' ', 'g') AS text
         FROM public.pg_stat_statements ORDER BY total_exec_time DESC LIMIT $1`,
      [SHOWN_STATEMENTS],
    );
    return rows;
  }

  get databaseUrl(): string {
    return this.postgres.url;
  }

  /** One more provisioner, of this release. */
  async startToday(): Promise<void> {
    await this.startProvisioner(this.provisioners.length, 'provisioner');
  }

  async endOldest(): Promise<void> {
    await this.provisioners.shift()?.end();
  }

  private async startProvisioner(index: number, app = this.firstRelease): Promise<void> {
    this.provisioners[index] = await ServiceProcess.start(app, {
      NATS_URL: this.nats.url,
      DATABASE_URL: this.postgres.url,
      PLINTH_SERVICE_ID: `provisioner-${index + 1}`,
      // On a machine that is slow for a moment no simulated host is lost.
      PLINTH_HOST_LOST_SECONDS: this.options.lose > 0 ? String(LOST_SECONDS) : '120',
      // What is measured runs as in production.
      PLINTH_CHECK_CONTRACTS: '0',
      LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'info',
      ...(this.options.profile !== undefined && {
        NODE_OPTIONS: `--import=${join(import.meta.dirname, 'profiled.js')}`,
        PLINTH_BENCH_PROFILE: this.options.profile,
      }),
    });
  }

  /** Its directory as seen from `apps`. */
  private get firstRelease(): string {
    const { upgradeFrom } = this.options;
    if (upgradeFrom === undefined) return 'provisioner';
    return relative(join(import.meta.dirname, '../../../apps'), join(resolve(upgradeFrom), 'apps/provisioner'));
  }

  private async provideImage(): Promise<void> {
    const digest = `sha256:${randomBytes(32).toString('hex')}`;
    const image = { name: 'debian-12', version: 'v1', contentDigest: digest };
    this.hosts.image = image;
    this.hosts.beatAllStorage();
    await this.jetstream.publish(
      SUBJECTS.imagePromoted,
      JSON.stringify({
        ...image,
        manifestDigest: digest,
        archiveDigest: digest,
        archiveBytes: 1,
        unpackedBytes: 1,
        sources: ['http://127.0.0.1:1/simulated'],
      }),
    );
    await this.until(async () => {
      // Until the provisioner listens to heartbeats.
      this.hosts.beatAllStorage();
      return (
        (await this.count(
          `SELECT count(*) FROM masters JOIN image_versions USING (name, version) WHERE state = 'promoted'`,
        )) === this.options.storageNodes
      );
    }, 'the image is promoted and on the storage nodes');
    await this.jetstream.publish(SUBJECTS.imageActivationRequested, JSON.stringify({ image: 'debian-12@v1' }));
    await this.until(
      async () => (await this.count('SELECT count(*) FROM default_os')) === 1,
      'the image is the default',
    );
  }
}

async function countStatements(postgres: TestServer): Promise<void> {
  const work = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  };
  await work(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`);
  await postgres.start();
  await work('CREATE EXTENSION pg_stat_statements SCHEMA public');
}
