/**
 * Requests for containers in fair order. While few come, they are decided as they are taken off the bus, those that
 * came during one decision together in the next; when more come than can be decided so, they go into a table as fast as
 * they come, and are decided from there tenant by tenant: a burst delays its own tenant, not the others.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type Logger, LOGGER, type NextPass, WorkLoop } from '@plinth/service-kit';
import { DEFAULT_TENANT } from './domain/container-config.js';
import { takeFairly } from './domain/fair-batch.js';
import type { Request } from './intake.store.js';
import { WaitingRequests } from './waiting-requests.js';

/** Requests that are decided in one transaction. */
export const BATCH = 128;
/** Batches at once, from the bus and from the table each: while one waits for the database another is computed. */
const BATCHES = 2;
/** From the table while requests arrive: another tenant's may be among them, and is only seen once it is in the table. */
const BATCHES_MEANWHILE = 1;
/** More that wait, and there are more on the bus: the consumer has twice as many in progress. */
const WAITING = 512;
export const IN_PROGRESS = 2 * WAITING;
const PUT_AT_ONCE = 500;
const SWEEP_MS = 1_000;

interface Arriving {
  readonly event: Request;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

@Injectable()
export class RequestIntake {
  /** Whether a request may wait in the table. */
  private backlog = true;
  /** Writes to the table so far. */
  private puts = 0;
  /** Whether the last query of the database failed. */
  private away = false;
  private readonly arriving: Arriving[] = [];
  /** Whether requests are being written to the table, or wait for it. */
  private putting = false;
  private readonly writing: WorkLoop;
  private readonly sweeping: WorkLoop;
  private readonly workers = new Set<Promise<void>>();
  /** Batches that never were in the table. */
  private readonly direct = new Set<Promise<void>>();
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
    this.putting = true;
    this.writing.kick();
    await Promise.all([this.sweeping.stop(), this.writing.finish(), ...this.direct]);
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

  private admit(event: Request): Promise<void> {
    return new Promise((done, failed) => {
      this.arriving.push({ event, done, failed });
      this.decideArriving();
    });
  }

  private decideArriving(): void {
    if (this.backlog || this.putting || this.arriving.length > WAITING) {
      this.putting = true;
      this.writing.kick();
      return;
    }
    while (this.direct.size < BATCHES && this.arriving.length > 0) {
      const some = takeFairly(this.arriving, BATCH, ({ event }) => event.data.tenant ?? DEFAULT_TENANT);
      const batch: Promise<void> = this.decide(some).finally(() => {
        this.direct.delete(batch);
        if (this.arriving.length > 0) this.decideArriving();
      });
      this.direct.add(batch);
    }
  }

  /** Requests that failed are delivered again by the bus. */
  private async decide(some: readonly Arriving[]): Promise<void> {
    try {
      const outcomes = await this.requests.decide(some.map(({ event }) => event));
      for (const [index, { done, failed }] of some.entries()) {
        const outcome = outcomes[index];
        if (outcome?.ok === false) failed(outcome.error);
        else done();
      }
    } catch (error) {
      for (const { failed } of some) failed(error);
    }
  }

  /** Writes the requests that arrive together in one statement. */
  private async putSome(): Promise<NextPass | undefined> {
    if (!this.putting) return undefined;
    const some = this.arriving.splice(0, PUT_AT_ONCE);
    if (some.length > 0) {
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
    }
    if (this.arriving.length > 0) return 'again';
    this.putting = this.stopping;
    this.startWorkers();
    return undefined;
  }

  /** Also decides requests that another provisioner has stored, or that an outage left. */
  private async sweep(): Promise<void> {
    this.backlog ||= await this.requests.isAnyWaiting();
    this.startWorkers();
  }

  private startWorkers(): void {
    const most = this.putting ? BATCHES_MEANWHILE : BATCHES;
    while (!this.stopping && this.backlog && this.workers.size < most) {
      const worker: Promise<void> = this.work().finally(() => this.workers.delete(worker));
      this.workers.add(worker);
    }
  }

  /** Decides until nothing waits. */
  private async work(): Promise<void> {
    while (!this.stopping && (!this.putting || this.workers.size <= BATCHES_MEANWHILE)) {
      const { puts } = this;
      let found: boolean;
      try {
        found = await this.requests.decideNext(BATCH);
        this.away = false;
      } catch (error) {
        // An outage is logged once, not by every worker every second; the sweep tries again.
        if (!this.away) this.logger.warn({ err: error }, 'waiting requests could not be decided; it is tried again');
        this.away = true;
        return;
      }
      // A request may have been stored during the query, so the table is queried again.
      if (found || this.puts !== puts) continue;
      this.backlog = false;
      return;
    }
  }
}
