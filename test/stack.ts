/** A whole stack in a scratch folder, driven from outside: the tool, the bus, and what the kernel shows. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { FactLog, PlinthClient } from '@plinth/client';
import { SUBJECTS } from '@plinth/contracts';
import { loginOptions } from '@plinth/service-kit/messaging';
import { givePostgresData } from '@plinth/testkit';
import { connect, type JetStreamClient, type NatsConnection } from 'nats';

/** The compiled form is one folder deeper. */
export const INSTALLATION = resolve(import.meta.dirname, basename(import.meta.dirname) === 'dist' ? '../..' : '..');

/** All requests and facts. Not `>`: a subscription to everything also keeps the inboxes of dead clients open. */
export const EVENT_SUBJECTS = [...new Set(Object.values(SUBJECTS).map((subject) => `${subject.split('.')[0]}.>`))];

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Fact {
  readonly subject: string;
  readonly data: Record<string, unknown>;
}

interface StackService {
  readonly name: string;
  readonly id: string;
  readonly pid: number;
  /** Absent: a server, which has none. */
  readonly health?: string | null;
  readonly logFile: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export class Stack {
  readonly home = mkdtempSync(join(tmpdir(), 'plinth-e2e-'));
  private readonly log = new FactLog<Fact>();
  private readonly seen = new Set<string>();
  private connection: NatsConnection | undefined;

  /**
   * @param installation whose tool and services are run
   * @param database `new`: `plinth up` makes the data of its PostgreSQL, a second of computing; `copied`: the tests'
   */
  constructor(
    private readonly installation = INSTALLATION,
    private readonly database: 'new' | 'copied' = 'copied',
  ) {
    chmodSync(this.home, 0o711);
  }

  /** Facts, each once by its event id. */
  get facts(): readonly Fact[] {
    return this.log.all;
  }

  /** Runs the tool; never rejects on its exit code. */
  plinth(...args: string[]): Promise<Ran> {
    return new Promise((done, fail) => {
      const child = spawn(process.execPath, [join(this.installation, 'apps/cli/dist/main.js'), ...args], {
        env: { ...process.env, PLINTH_HOME: this.home, PLINTH_CHECK_CONTRACTS: '1', NATS_URL: '', DATABASE_URL: '' },
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
      child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
      child.on('error', fail);
      child.on('close', (code) => done({ code: code ?? 255, stdout, stderr }));
    });
  }

  /** Starts the services that do not run. */
  async up(hosts = 2, images: 'attached' | 'own' = 'attached'): Promise<void> {
    if (this.database === 'copied') await givePostgresData(join(this.home, 'postgres'));
    const options = ['--detach', '--hosts', String(hosts), '--images', images, '--no-console'];
    const { code, stdout, stderr } = await this.plinth('up', ...options);
    if (code !== 0) throw new Error(`up ended with ${code}: ${stdout}${stderr}`);
    if (this.connection && !this.connection.isClosed()) return;
    const { natsUrl, nkeyFile } = this.file();
    this.connection = await connect({
      servers: natsUrl,
      ...loginOptions({ nkeyFile }),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      timeout: 60_000,
    });
    for (const subject of EVENT_SUBJECTS) {
      this.connection.subscribe(subject, {
        callback: (error, message) => {
          // A service that dies between publishing and recording it publishes again, under the same id: the stream
          // drops it, subscribers receive both.
          const id = message.headers?.get('ce-id') ?? '';
          if (error !== null || this.seen.has(id)) return;
          if (id !== '') this.seen.add(id);
          this.keep(message.subject, message.string());
        },
      });
    }
    await this.connection.flush();
  }

  /** Starts the services that have died, as a process supervisor does, and tries again when that fails too. */
  async restart(hosts = 2): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { code, stdout, stderr } = await this.plinth('up', '--detach', '--no-console', '--hosts', String(hosts));
      if (code === 0) return;
      if (attempt === 5) throw new Error(`up ended with ${code}: ${stdout}${stderr}`);
    }
  }

  private keep(subject: string, body: string): void {
    try {
      const data = JSON.parse(body) as unknown;
      // Our own malformed requests are on the same subjects.
      if (data === null || typeof data !== 'object') return;
      this.log.add({ subject, data: data as Record<string, unknown> });
    } catch (error) {
      if (error instanceof SyntaxError) return;
      throw error;
    }
  }

  file(): { natsUrl: string; databaseUrl: string; nkeyFile: string; services: StackService[] } {
    return JSON.parse(readFileSync(join(this.home, 'stack.json'), 'utf8')) as {
      natsUrl: string;
      databaseUrl: string;
      nkeyFile: string;
      services: StackService[];
    };
  }

  pidOf(id: string): number {
    const service = this.file().services.find((item) => item.id === id);
    if (!service) throw new Error(`no service ${id}`);
    return service.pid;
  }

  /** Ends a service, which has time for it, and waits until it is gone. */
  async end(id: string): Promise<void> {
    const pid = this.pidOf(id);
    process.kill(pid, 'SIGTERM');
    for (const end = Date.now() + 60_000; existsSync(`/proc/${pid}`); await new Promise((done) => setTimeout(done, 50)))
      if (Date.now() > end) throw new Error(`${id} did not end within 60 s`);
  }

  jetstream(): JetStreamClient {
    if (!this.connection) throw new Error('not up');
    return this.connection.jetstream({ timeout: 60_000 });
  }

  /** For questions that are asked again and again: the tool is a process each time. */
  get client(): PlinthClient {
    if (!this.connection) throw new Error('not up');
    return new PlinthClient(this.connection);
  }

  /** The first fact, past or future, that fits. */
  async fact(fits: (fact: Fact) => boolean, seconds = 200): Promise<Fact> {
    const found = await this.log.within(fits, seconds * 1000);
    if (!found) throw new Error(`no such fact within ${seconds} s; last: ${JSON.stringify(this.facts.slice(-5))}`);
    return found;
  }

  /** Stops it and deletes its data; returns the tool's output. */
  async down(): Promise<Ran> {
    await this.connection?.close();
    const ran = existsSync(this.home) ? await this.plinth('down', '--data') : { code: 0, stdout: '', stderr: '' };
    rmSync(this.home, { recursive: true, force: true });
    return ran;
  }
}

export function mountLines(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean);
}

/** Directories of containers in any cgroup hierarchy. */
export function containerCgroups(): string[] {
  const found = spawnSync('find', ['/sys/fs/cgroup', '-maxdepth', '2', '-type', 'd', '-name', 'plinth-*.*']);
  return found.stdout.toString().split('\n').filter(Boolean);
}

/** `…/plinth-<id>.<instance>` → id. */
export function containerOf(cgroup: string): string {
  return /\/plinth-([^./]+)\.[^/]*$/.exec(cgroup)?.[1] ?? '';
}
