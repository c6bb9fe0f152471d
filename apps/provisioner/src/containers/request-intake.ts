/**
 * Requests for containers in fair order. While few come, each is decided as it is taken off the bus; when more come
 * than can be decided at once, they go into a table as fast as they come, and are decided from there tenant by tenant:
 * a burst delays its own tenant, not the others.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type Logger, LOGGER, type NextPass, WorkLoop } from '@plinth/service-kit';
import type { Request } from './intake.store.js';
import { WaitingRequests } from './waiting-requests.js';

/** Decisions at once; the database has more connections. */
const DECISIONS = 16;
/** Workers while requests arrive: another tenant's may be among them, and is only seen once it is in the table. */
const DECISIONS_MEANWHILE = 2;
const PUT_AT_ONCE = 500;
const SWEEP_MS = 1_000;

@Injectable()
export class RequestIntake {
  /** Decisions in progress. */
  private deciding = 0;
  /** Whether a request may wait in the table. */
  private backlog = true;
  /** Writes to the table so far. */
  private puts = 0;
  /** Whether the last query of the database failed. */
  private away = false;
  private arriving: {
    readonly event: Request;
    readonly done: () => void;
    readonly failed: (error: unknown) => void;
  }[] = [];
  /** Whether requests are being written to the table, or wait for it. */
  private putting = false;
  private readonly writing: WorkLoop;
  private readonly sweeping: WorkLoop;
  private readonly workers = new Set<Promise<void>>();
  /** By request id: requests that were taken and are neither decided nor in the table. */
  private readonly inProgress = new Map<string, Promise<void>>();
  private stopping = false;

  constructor(
    @Inject(WaitingRequests)
    private readonly requests: Pick<WaitingRequests, 'decide' | 'put' | 'isAnyWaiting' | 'decideNext'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.writing = new WorkLoop({
      pass: () => this.putSome(),
      failed: (error) => logger.error({ err: error }, 'requests could not be put into the table; it is tried again'),
    });
    this.sweeping = new WorkLoop({
      pass: () => this.sweep(),
      periodMs: SWEEP_MS,
      retryMs: () => SWEEP_MS,
      failed: (error) =>
        logger.warn({ err: error }, 'the table of waiting requests could not be read; it is tried again'),
    });
  }

  start(): void {
    this.writing.start();
    this.sweeping.start();
  }

  /** Resolves when every request that was taken is decided or in the table. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all([this.sweeping.stop(), this.writing.finish()]);
    await Promise.all(this.workers);
  }

  /** Resolves when the request is decided, or safe in the table. */
  async take(event: Request): Promise<void> {
    const before = this.inProgress.get(event.id);
    const taken = before ? before.then(() => this.admit(event)) : this.admit(event);
    // The first of two requests with one id is carried out.
    const settled = taken.catch(() => undefined);
    this.inProgress.set(event.id, settled);
    try {
      await taken;
    } finally {
      if (this.inProgress.get(event.id) === settled) this.inProgress.delete(event.id);
    }
  }

  private async admit(event: Request): Promise<void> {
    if (this.backlog || this.deciding >= DECISIONS) return this.put(event);
    this.deciding++;
    try {
      await this.requests.decide(event);
    } finally {
      this.deciding--;
    }
  }

  private put(event: Request): Promise<void> {
    return new Promise((done, failed) => {
      this.arriving.push({ event, done, failed });
      this.putting = true;
      this.writing.kick();
    });
  }

  /** Writes the requests that arrive together in one statement. */
  private async putSome(): Promise<NextPass | undefined> {
    const some = this.arriving.splice(0, PUT_AT_ONCE);
    if (some.length === 0) return undefined;
    try {
      await this.requests.put(some.map(({ event }) => event));
      this.puts++;
      this.backlog = true;
      this.startWorkers();
      for (const { done } of some) done();
    } catch (error) {
      // The bus delivers them again.
      for (const { failed } of some) failed(error);
    }
    // Acknowledged requests make room for the next, which are then written together too.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.arriving.length > 0) return 'again';
    this.putting = false;
    this.startWorkers();
    return undefined;
  }

  /** Also decides requests that another provisioner has stored, or that an outage left. */
  private async sweep(): Promise<void> {
    this.backlog ||= await this.requests.isAnyWaiting();
    this.startWorkers();
  }

  private startWorkers(): void {
    const most = this.putting ? DECISIONS_MEANWHILE : DECISIONS;
    while (!this.stopping && this.backlog && this.workers.size < most) {
      const worker: Promise<void> = this.work().finally(() => this.workers.delete(worker));
      this.workers.add(worker);
    }
  }

  /** Decides until nothing waits. */
  private async work(): Promise<void> {
    while (!this.stopping && (!this.putting || this.workers.size <= DECISIONS_MEANWHILE)) {
      const { puts } = this;
      let found: boolean;
      this.deciding++;
      try {
        found = await this.requests.decideNext();
        this.away = false;
      } catch (error) {
        // An outage is logged once, not by every worker every second; the sweep tries again.
        if (!this.away) this.logger.warn({ err: error }, 'waiting requests could not be decided; it is tried again');
        this.away = true;
        return;
      } finally {
        this.deciding--;
      }
      // A request may have been stored during the query, so the table is queried again.
      if (found || this.puts !== puts) continue;
      this.backlog = false;
      return;
    }
  }
}
