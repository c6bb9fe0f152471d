/** For the integration tests: a NATS server, a storage node with a signed image, and agents as real processes. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cgroupProcesses, containerGroup, instanceName } from '@plinth/container-runtime';
import {
  agentExec,
  agentLogs,
  ContainerReport,
  contractFor,
  decodePayload,
  desiredContainer,
  type Digest,
  type ExecQuery,
  HostImageReport,
  hostReport,
  type LogsQuery,
  type QueryReply,
  STREAM_HEADER,
  STREAMS,
} from '@plinth/contracts';
import { connectNats, encodeHeaders, newId } from '@plinth/service-kit';
import {
  AckPolicy,
  type ConsumerMessages,
  createInbox,
  DeliverPolicy,
  type JsMsg,
  nanos,
  type NatsConnection,
} from 'nats';
import { readMachineState, startNats, tailOf, type TestServer } from '@plinth/testkit';
import { contentOf, type ImageOptions, installImage } from './signed-image.js';

/** For an event that comes within a second on an idle machine. */
const PATIENCE_MS = 60_000;
/** For a server, which answers late on a busy machine. */
const SERVER_PATIENCE_MS = 60_000;

const REPOSITORY = resolve(import.meta.dirname, '../../../..');

export interface StreamedResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: QueryReply<{ exitCode: number }>;
}

export class AgentBench {
  readonly reports: ContainerReport[] = [];
  /** Of images in the hosts' own stores. */
  readonly imageReports: HostImageReport[] = [];
  /** Log file of the agents: `PLINTH_TEST_LOG`, else a file in the test's directory. */
  private readonly log: number;
  private readonly logFile: string;
  private collector: ConsumerMessages | undefined;
  private readonly agents = new Set<ChildProcess>();
  /** Hosts that had an agent. */
  private readonly hosts = new Set<string>();
  /** 0: the agents hold no leases. */
  leaseSeconds = 0;
  /** Variables of the agents beside the usual ones, or in their place. */
  settings: NodeJS.ProcessEnv = {};
  /** Program and arguments that come before the agent's: it changes what the agent sees, and becomes the agent. */
  view: readonly string[] = [];
  /** Those of one host; and, where it is not in the test's own network, a process in its. */
  readonly settingsOf = new Map<string, NodeJS.ProcessEnv>();
  readonly networkOf = new Map<string, number>();
  private constructor(
    readonly directory: string,
    readonly host: string,
    private readonly nats: TestServer,
    readonly connection: NatsConnection,
  ) {
    this.logFile = process.env['PLINTH_TEST_LOG'] ?? join(directory, 'agent.log');
    this.log = openSync(this.logFile, 'a');
  }

  static async open(): Promise<AgentBench> {
    const directory = mkdtempSync(join(tmpdir(), 'plinth-agent-'));
    const nats = await startNats();
    const connection = await connectNats({ url: nats.url, name: 'agent-bench' });
    const bench = new AgentBench(directory, `host-${randomBytes(3).toString('hex')}`, nats, connection);
    mkdirSync(join(directory, 'keys'));
    mkdirSync(join(bench.storage, 'volumes'), { recursive: true });
    mkdirSync(join(bench.storage, 'software/hello'), { recursive: true });
    writeFileSync(join(bench.storage, 'software/hello/greeting'), 'hello from software\n');
    await bench.collectReports();
    return bench;
  }

  /** Directory of the keys whose images are trusted. */
  get keys(): string {
    return join(this.directory, 'keys');
  }

  get storage(): string {
    return join(this.directory, 'storage');
  }

  get hostDirectory(): string {
    return this.hostDirectoryOf(this.host);
  }

  hostDirectoryOf(host: string): string {
    return join(this.directory, host === this.host ? 'host' : host);
  }

  /** @returns its content digest */
  async installImage(version: string, options: ImageOptions = {}): Promise<Digest> {
    return installImage(join(this.storage, 'images'), join(this.directory, 'keys'), version, options);
  }

  /** The config of a container; everything can be overridden. */
  config(overrides: Record<string, unknown> = {}): Record<string, unknown> & { containerId: string } {
    const now = new Date().toISOString();
    return {
      containerId: newId(),
      name: 'shop-1',
      tenant: 'default',
      host: this.host,
      generation: 1,
      runGeneration: 1,
      desired: 'running',
      image: 'debian-12@v1',
      contentDigest: contentOf('v1'),
      storageNode: 'sn-1',
      dataVolume: newId(),
      env: { SHOP: 'one' },
      limits: { memoryBytes: 256 << 20, cpus: 1, pids: 100 },
      restart: { policy: 'always' },
      network: 'isolated',
      stopGraceSeconds: 2,
      requestedAt: now,
      decidedAt: now,
      ...overrides,
    };
  }

  publishConfig(config: Record<string, unknown> & { containerId: string }): Promise<void> {
    const subject = desiredContainer(String(config['host']), config.containerId);
    return this.publishDesired(subject, config, `correlation-of-${config.containerId}`);
  }

  async publishDesired(subject: string, value: object, correlationId = newId()): Promise<void> {
    const id = newId();
    const headers = encodeHeaders({
      id,
      type: subject,
      source: 'test',
      time: new Date().toISOString(),
      correlationId,
    });
    await this.connection
      .jetstream({ timeout: SERVER_PATIENCE_MS })
      .publish(subject, JSON.stringify(value), { headers });
  }

  async deleteConfig(containerId: string): Promise<void> {
    const jsm = await this.connection.jetstreamManager();
    await jsm.streams.purge(STREAMS.desired.name, { filter: desiredContainer(this.host, containerId) });
  }

  agentEnvironment(host = this.host): NodeJS.ProcessEnv {
    return {
      PATH: process.env['PATH'],
      PLINTH_CHECK_CONTRACTS: '1',
      NATS_URL: this.nats.url,
      PLINTH_SERVICE_ID: 'host-agent-test',
      PLINTH_HOST: host,
      PLINTH_HOST_DIR: this.hostDirectoryOf(host),
      PLINTH_STORAGE_MOUNTS: `sn-1=${this.storage}`,
      PLINTH_TRUSTED_KEYS: join(this.directory, 'keys'),
      PLINTH_LOG_MAX_BYTES: '65536',
      PLINTH_LEASE_SECONDS: String(this.leaseSeconds),
      LOG_LEVEL: process.env['PLINTH_TEST_LOG_LEVEL'] ?? 'info',
      ...this.settings,
      ...this.settingsOf.get(host),
    };
  }

  startAgent(host = this.host): ChildProcess {
    this.hosts.add(host);
    // A test process that is killed takes its agents along.
    const program = ['--pdeathsig', 'KILL', '--', process.execPath, join(REPOSITORY, 'apps/host-agent/dist/main.js')];
    const [file = '', ...argv] = this.inNetworkOf(host, ...this.view, 'setpriv', ...program);
    const agent = spawn(file, argv, {
      env: this.agentEnvironment(host),
      stdio: ['ignore', this.log, this.log],
    });
    this.agents.add(agent);
    agent.once('exit', () => this.agents.delete(agent));
    return agent;
  }

  async stopAgent(agent: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (agent.exitCode !== null || agent.signalCode !== null) return agent.exitCode;
    const ended = new Promise<number | null>((resolve_) => agent.once('exit', (code) => resolve_(code)));
    agent.kill(signal);
    return ended;
  }

  removeAll(): void {
    for (const host of this.hosts) {
      const main = join(REPOSITORY, 'apps/host-agent/dist/main.js');
      const [file = '', ...argv] = this.inNetworkOf(host, ...this.view, process.execPath, main, '--remove-all');
      execFileSync(file, argv, { env: this.agentEnvironment(host), stdio: 'inherit' });
    }
  }

  /** The first report of a container that fits, now or later. @param after only those with a higher sequence */
  async report(
    containerId: string,
    kind: ContainerReport['kind'],
    options: {
      readonly after?: number;
      readonly generation?: number;
      readonly host?: string;
      readonly reason?: string;
    } = {},
    patienceMs = PATIENCE_MS,
  ): Promise<ContainerReport> {
    const fits = (report: ContainerReport): boolean =>
      report.containerId === containerId &&
      report.kind === kind &&
      report.sequence > (options.after ?? 0) &&
      (options.reason === undefined || report.reason === options.reason) &&
      (options.host === undefined || report.host === options.host) &&
      (options.generation === undefined || report.generation === options.generation);
    try {
      return await waitFor(() => this.reports.find(fits), `report ${kind} of ${containerId}`, patienceMs);
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${this.diagnosis(containerId)}`);
    }
  }

  /**
   * Leaves the state of an agent that died after the bus had stored the report and before it deleted the report's file.
   */
  async restoreJournalFile(report: ContainerReport): Promise<void> {
    const jsm = await this.connection.jetstreamManager();
    const subject = hostReport(report.host, report.containerId);
    const stored = await jsm.streams.getMessage(STREAMS.reports.name, { last_by_subj: subject });
    const entry = { messageId: stored.header.get('Nats-Msg-Id'), report };
    const file = `${report.containerId}.${report.sequence}.json`;
    writeFileSync(join(this.hostDirectoryOf(report.host), 'reports', file), JSON.stringify(entry));
  }

  /** Pids in the container's cgroup. */
  alive(containerId: string, host = this.host): readonly number[] {
    return cgroupProcesses(containerGroup(containerId, instanceName(join(this.hostDirectoryOf(host), 'runtime'))));
  }

  exec(query: ExecQuery, host = this.host): Promise<StreamedResult> {
    return this.streamed(agentExec(host), query);
  }

  /** @param onOutput called with standard output as it arrives */
  logs(query: LogsQuery, onOutput?: (text: string) => void): Promise<StreamedResult> {
    return this.streamed(agentLogs(this.host), query, onOutput);
  }

  stopNats(): Promise<void> {
    return this.nats.pause();
  }

  /** Starts the server again on its stored streams. */
  startNatsAgain(): Promise<void> {
    return this.nats.start();
  }

  async close(): Promise<void> {
    for (const agent of this.agents) await this.stopAgent(agent);
    this.removeAll();
    this.collector?.stop();
    await this.connection.close();
    await this.nats.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Texts that help to find why a report does not come. */
  private diagnosis(containerId: string): string {
    const reports = this.reports.filter((report) => report.containerId === containerId);
    const journals = [...this.hosts].map((host) => {
      const directory = join(this.hostDirectoryOf(host), 'reports');
      return `journal of ${host}: ${existsSync(directory) ? readdirSync(directory).join(' ') : 'none'}`;
    });
    const logs = [this.logFile, ...[...this.hosts].map((host) => join(this.hostDirectoryOf(host), 'guard.log'))];
    return [
      'reports of the container:',
      ...reports.map((report) => JSON.stringify(report)),
      ...journals,
      ...logs.map((file) => `--- ${file}\n${tailOf(file, 40)}`),
    ].join('\n');
  }

  private inNetworkOf(host: string, ...argv: string[]): string[] {
    const pid = this.networkOf.get(host);
    return pid === undefined ? argv : ['nsenter', '-t', String(pid), '--net', '--', ...argv];
  }

  private async streamed(
    subject: string,
    query: object,
    onOutput: (text: string) => void = () => undefined,
  ): Promise<StreamedResult> {
    const inbox = createInbox();
    const replies = this.connection.subscribe(inbox);
    this.connection.publish(subject, JSON.stringify(query), { reply: inbox });
    const output = { stdout: '', stderr: '' };
    for await (const message of replies) {
      const stream = message.headers?.get(STREAM_HEADER);
      if (stream === 'exit') {
        replies.unsubscribe();
        return { ...output, exit: message.json<QueryReply<{ exitCode: number }>>() };
      }
      if (message.reply) message.respond();
      if (stream !== 'stdout' && stream !== 'stderr') continue;
      const text = Buffer.from(message.data).toString('utf8');
      output[stream] += text;
      if (stream === 'stdout') onOutput(text);
    }
    throw new Error('the reply ended without its end');
  }

  private async collectReports(): Promise<void> {
    const jsm = await this.connection.jetstreamManager({ timeout: SERVER_PATIENCE_MS });
    const { name } = await jsm.consumers.add(STREAMS.reports.name, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      inactive_threshold: nanos(600_000),
    });
    const jetstream = this.connection.jetstream({ timeout: SERVER_PATIENCE_MS });
    const consumer = await jetstream.consumers.get(STREAMS.reports.name, name);
    const messages = await consumer.consume();
    this.collector = messages;
    void (async () => {
      for await (const message of messages)
        if (contractFor(message.subject)?.payload === HostImageReport)
          this.imageReports.push(decodeReport(HostImageReport, message));
        else this.reports.push(decodeReport(ContainerReport, message));
    })();
  }
}

export async function waitFor<T>(
  look: () => T | undefined | Promise<T | undefined>,
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await delay(10)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`waited ${patienceMs} ms in vain for ${what}`);
}

/** Traces of an agent's containers in the host's mount table, cgroups and process table. */
export function leftovers(bench: AgentBench, ids: readonly string[]): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(bench.directory));
  // Groups of other suites may appear and disappear meanwhile.
  const cgroups = readMachineState([])
    .cgroups.map(({ path }) => path)
    .filter((path) => ids.some((id) => path.includes(id)));
  const processes = execFileSync('ps', ['-eo', 'pid,args'])
    .toString()
    .split('\n')
    .filter((line) => ids.some((id) => line.includes(id)));
  return [...mounts, ...cgroups, ...processes];
}

function decodeReport<T extends object>(payload: new () => T, message: JsMsg): T {
  const decoded = decodePayload(payload, message.data);
  if (!decoded.ok) throw new Error(`a report breaks its contract: ${JSON.stringify(decoded.problems)}`);
  return decoded.value;
}

export { makeRunnableImage, productionOf } from './runnable-image.js';
