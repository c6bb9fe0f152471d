/** Keeps the resolver of the machine running: asks it a query every second, and starts it when none answers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { OutlivingGroup } from '@plinth/container-runtime';
import { hasCode, isMissing } from '@plinth/host-os';
import {
  askStatus,
  LOG_FILE,
  NODE_OPTIONS,
  PID_FILE,
  RESOLVER_ADDRESS,
  RESOLVER_PORT,
  type ResolverStatus,
} from '@plinth/names';
import { type Logger, WorkLoop } from '@plinth/service-kit';

const PERIOD_MS = 1_000;
const ANSWER_MS = 700;
/** Queries in a row without an answer before a resolver that is there is ended. */
const SILENT = 4;
const START_PATIENCE_MS = 10_000;
const START_LOOK_MS = 20;
/** How long a container's start waits for the first answer. */
const READY_PATIENCE_MS = 5_000;
/** Not that of one agent: a resolver serves those that come after it. */
const GROUP = new OutlivingGroup('/plinth-resolver');
/** Turns after which a resolver that did not give its port to this agent's newer program is ended. */
const OLDER = 30;

/**
 * Any container may ask it. It is root until it has read its program, which may be in another's directory, and has its
 * low port; then it is a user of its own, without any right.
 */
const WITHOUT_RIGHTS = [
  '--bounding-set=-all,+net_bind_service,+dac_read_search,+setuid,+setgid',
  '--inh-caps=-all',
  '--no-new-privs',
  '--',
];

export interface ResolverOptions {
  /** What the agents of this network write is in it. */
  readonly directory: string;
  readonly program: string;
  readonly builtAtMs: number;
  readonly logger: Logger;
}

export class ResolverWatch {
  private readonly loop: WorkLoop;
  private waiting: (() => void)[] = [];
  private silent = 0;
  private older = 0;
  private closing = false;
  private problem: string | undefined;
  private last: ResolverStatus | undefined;

  /** @param prepare sees to it that the names are written; returns whether a container of this agent has one */
  constructor(
    private readonly options: ResolverOptions,
    private readonly prepare: () => boolean,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.turn(),
      periodMs: PERIOD_MS,
      retryMs: () => PERIOD_MS,
      failed: (error) => options.logger.error({ err: error }, 'the resolver could not be checked; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** What it has reported last; undefined: none answers. */
  get status(): ResolverStatus | undefined {
    return this.last;
  }

  /** Resolves when a resolver answers, or when it can't be waited for. */
  async ready(): Promise<void> {
    if (this.last !== undefined || this.problem !== undefined || this.closing) return;
    const answered = new Promise<void>((resolve) => this.waiting.push(resolve));
    this.loop.kick();
    await Promise.race([answered, delay(READY_PATIENCE_MS, undefined, { ref: false })]);
  }

  close(): void {
    this.closing = true;
    void this.loop.stop();
    this.settle();
  }

  private async turn(): Promise<void> {
    if (!this.prepare()) {
      this.last = undefined;
      this.problem = undefined;
      return;
    }
    let asked = await askStatus(ANSWER_MS);
    if (this.closing) return;
    this.silent = asked.kind === 'silent' ? this.silent + 1 : 0;
    if (this.silent >= SILENT) this.endSilent();
    if (asked.kind === 'closed') {
      if (this.last) this.options.logger.warn('no resolver answers any more: another is started');
      this.last = undefined;
      asked = await this.run();
    }
    if (this.closing) return;
    if (asked.kind === 'answered') {
      if (!this.last || this.problem !== undefined)
        this.options.logger.info({ resolver: asked.status.pid }, 'names of containers are answered');
      this.last = asked.status;
      this.problem = undefined;
      this.keepPid(asked.status);
    } else if (asked.kind !== 'silent' || this.silent >= SILENT) {
      const found =
        asked.kind === 'foreign'
          ? `another program answers at ${RESOLVER_ADDRESS}`
          : `no resolver answers at port ${RESOLVER_PORT} of ${RESOLVER_ADDRESS}; ${join(this.options.directory, LOG_FILE)} has its messages`;
      if (this.problem !== found) this.options.logger.error({ problem: found }, 'names of containers are not answered');
      this.problem = found;
      this.last = undefined;
    }
    if (asked.kind !== 'silent') this.settle();
  }

  /** One that an older one has started may not write it. It may be an older one itself, which can't read our program. */
  private keepPid({ pid, builtAtMs }: ResolverStatus): void {
    const { directory, logger } = this.options;
    if (resolverPid(directory) !== pid && isResolver(pid, directory))
      writeFileSync(join(directory, PID_FILE), `${pid}\n`, { mode: 0o600 });
    const mine = this.options.builtAtMs;
    this.older = builtAtMs < mine || this.programBuiltAt(pid) < mine ? this.older + 1 : 0;
    if (this.older < OLDER) return;
    this.older = 0;
    logger.warn({ resolver: pid }, 'the resolver is older than this agent, and did not start its program: it is ended');
    this.end('SIGTERM');
  }

  /**
   * Of the file that the resolver has at the program's path. One that a container's agent has started before that
   * container was made again from a newer image sees the old image: what it calls the newer program is its own.
   */
  private programBuiltAt(pid: number): number {
    try {
      return Math.floor(statSync(`/proc/${pid}/root${this.options.program}`).mtimeMs);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ESRCH')) return Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  private settle(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting = [];
  }

  /** Starts one, and waits until it, or one that another agent has started, answers. */
  private async run(): ReturnType<typeof askStatus> {
    const child = this.spawn();
    const end = performance.now() + START_PATIENCE_MS;
    for (;;) {
      const asked = await askStatus(ANSWER_MS);
      if (asked.kind === 'answered' || asked.kind === 'foreign' || this.closing) return asked;
      const hasEnded = child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
      if (hasEnded || performance.now() > end) return askStatus(ANSWER_MS);
      await delay(START_LOOK_MS);
    }
  }

  private spawn(): ChildProcess {
    const { directory, program, builtAtMs, logger } = this.options;
    const file = openSync(join(directory, LOG_FILE), 'a', 0o600);
    const argv = [...WITHOUT_RIGHTS, process.execPath, ...NODE_OPTIONS, program, directory, String(builtAtMs)];
    const child = spawn('setpriv', argv, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', file, file],
      env: { PATH: process.env['PATH'] },
    });
    const failed = (error: unknown): void =>
      logger.error({ err: error }, 'the resolver could not be started; it is tried again');
    child.on('error', failed);
    // One that would end with the agent is ended at once: the next turn starts another.
    if (child.pid !== undefined)
      GROUP.take(child.pid).catch((error: unknown) => {
        failed(error);
        child.kill('SIGKILL');
      });
    // The death of this one is noticed without a query.
    child.on('exit', () => this.closing || this.loop.kick());
    child.unref();
    closeSync(file);
    return child;
  }

  /** It is there and does not answer: stopped, or in an endless loop. */
  private endSilent(): void {
    const pid = resolverPid(this.options.directory);
    if (pid === undefined) return;
    this.options.logger.error({ resolver: pid }, 'the resolver does not answer, and is ended');
    this.silent = 0;
    this.end('SIGKILL');
  }

  private end(signal: 'SIGTERM' | 'SIGKILL'): void {
    const pid = resolverPid(this.options.directory);
    if (pid === undefined) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      // It has just ended by itself.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    this.loop.kick();
  }
}

/** Once no resolver runs. Nothing when one of another network does. */
export function removeResolverGroup(): void {
  GROUP.remove();
}

/** The process in the resolver's file, if it runs. */
export function resolverPid(directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(directory, PID_FILE), 'utf8'));
    return isResolver(pid, directory) ? pid : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether the process is still the resolver of that directory. */
export function isResolver(pid: number, directory: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
}
