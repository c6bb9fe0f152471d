/** A compiled service in a process of its own: to be killed, doubled and observed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Far longer than a start takes on a loaded machine. */
const START_MS = 180_000;

/** The same from `src` and `dist`. */
const REPOSITORY = join(import.meta.dirname, '../../..');

const mainOf = (app: string): string => join(REPOSITORY, 'apps', app, 'dist/main.js');

export interface RefusedStart {
  readonly status: number | null;
  readonly stderr: string;
}

/** Starts a service that must not come up, and waits for its end. */
export function refusedStart(app: string, env: Readonly<Record<string, string>>): RefusedStart {
  const { status, stderr } = spawnSync(process.execPath, [mainOf(app)], {
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stderr };
}

export interface LogLine {
  readonly msg: string;
  readonly [key: string]: unknown;
}

export class ServiceProcess {
  /** What it has logged so far. */
  readonly log: LogLine[] = [];
  private readonly watching = new Set<() => void>();
  private isToEnd = false;

  private constructor(
    private readonly app: string,
    private readonly child: ChildProcess,
  ) {}

  /**
   * Resolves when the service has logged that it is ready. It is killed with the test process.
   * @param app its directory below `apps`
   * @param env all of its environment but PATH
   * @throws Error with what it logged last, when it ends before
   */
  static async start(app: string, env: Readonly<Record<string, string>>): Promise<ServiceProcess> {
    const argv = ['--pdeathsig', 'KILL', '--', process.execPath, mainOf(app)];
    const child = spawn('setpriv', argv, {
      env: { PATH: process.env['PATH'], LOG_LEVEL: 'info', PLINTH_CHECK_CONTRACTS: '1', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const service = new ServiceProcess(app, child);
    service.follow();
    // One that waits for a server that is gone would wait as long as the test may take.
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
    try {
      await service.logged('ready');
    } finally {
      clearTimeout(late);
    }
    return service;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** URL of health and metrics. */
  get url(): string {
    return String(this.log.find(({ msg }) => msg === 'ready')?.['url']);
  }

  /**
   * The first line with the message, logged already or still to come.
   * @throws Error when the service ends without it
   */
  async logged(message: string): Promise<LogLine> {
    for (;;) {
      const found = this.log.find(({ msg }) => msg === message);
      if (found) return found;
      if (this.hasEnded)
        throw new Error(`${this.app} ended without “${message}”: ${JSON.stringify(this.log.slice(-5))}`);
      await new Promise<void>((wake) => this.watching.add(wake));
    }
  }

  async readiness(): Promise<{ readonly status: number; readonly missing: Readonly<Record<string, string>> }> {
    const response = await fetch(`${this.url}/health/ready`);
    const { missing } = (await response.json()) as { missing: Record<string, string> };
    return { status: response.status, missing };
  }

  signal(signal: NodeJS.Signals): void {
    this.isToEnd ||= !['SIGSTOP', 'SIGCONT'].includes(signal);
    this.child.kill(signal);
  }

  /** Resolves with the exit code when it is gone; null: a signal ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.hasEnded) return this.child.exitCode;
    const ended = once(this.child, 'exit');
    this.isToEnd = true;
    this.child.kill(signal);
    await ended;
    return this.child.exitCode;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** How it ended without a signal of the test's, with what it logged last; undefined: it did not. */
  get unaskedEnd(): string | undefined {
    if (this.isToEnd || !this.hasEnded) return undefined;
    const how = this.child.signalCode ?? `exit code ${this.child.exitCode}`;
    return `${this.app} ended by itself (${how}): ${JSON.stringify(this.log.slice(-5))}`;
  }

  private follow(): void {
    const wake = (): void => {
      const waiting = [...this.watching];
      this.watching.clear();
      for (const done of waiting) done();
    };
    this.child.once('exit', wake);
    if (!this.child.stdout) throw new Error('started without a pipe');
    createInterface({ input: this.child.stdout }).on('line', (text) => {
      this.log.push(readLine(text));
      wake();
    });
  }
}

function readLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch (error) {
    // The line is of Node.js itself, such as a warning.
    if (error instanceof SyntaxError) return { msg: text };
    throw error;
  }
}
