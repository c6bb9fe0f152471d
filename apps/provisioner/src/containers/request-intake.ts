/**
 * Requests for containers in fair order. While few come, each is decided as it is taken off the bus; when more come than can be decided at once,
 * they go into a table as fast as they come, and are decided from there tenant by tenant: a burst delays its own tenant, not the others.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { createHash } from 'node:crypto';
import { canonicalJson } from '@plinth/contracts';
import { type Logger, LOGGER, type NextPass, Outbox, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import {
  isAnyWaiting,
  postponeRequest,
  putRequests,
  type Request,
  takeRequest,
  type WaitingRequest,
} from './intake.store.js';
import { ContainerCreation } from './container-creation.js';
import { DEFAULT_TENANT } from './domain/container-config.js';

/** At once; the database's connections are more. */
const DECISIONS = 16;
/** As long as requests come in: another tenant's may be among them, and is only seen when it is in the table. */
const DECISIONS_MEANWHILE = 2;
const PUT_AT_ONCE = 500;
const SWEEP_MS = 1_000;
/** Then it is refused: as many as the bus tries a message. */
const MOST_FAILURES = 5;
const RETRY_MS = 1_000;

@Injectable()
export class RequestIntake {
  /** Decisions in hand. */
  private deciding = 0;
  /** Something may wait in the table. */
  private backlog = true;
  /** Writes to the table so far. */
  private puts = 0;
  /** The database, when it was asked last. */
  private away = false;
  private lastTenant = '';
  private arriving: {
    readonly event: Request;
    readonly done: () => void;
    readonly failed: (error: unknown) => void;
  }[] = [];
  /** Requests are written to the table, or wait for it. */
  private putting = false;
  private readonly writing: WorkLoop;
  private readonly sweeping: WorkLoop;
  private readonly workers = new Set<Promise<void>>();
  /** By request id. */
  private readonly inHand = new Map<string, Promise<void>>();
  private stopping = false;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ContainerCreation) private readonly creation: ContainerCreation,
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
      failed: (error) => logger.warn({ err: error }, 'waiting requests could not be looked for; it is tried again'),
    });
  }

  start(): void {
    this.writing.start();
    this.sweeping.start();
  }

  /** After what is in hand. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all([this.sweeping.stop(), this.writing.finish()]);
    await Promise.all(this.workers);
  }

  /** Resolves when it is decided, or safe in the table. */
  async take(event: Request): Promise<void> {
    const before = this.inHand.get(event.id);
    const taken = before ? before.then(() => this.admit(event)) : this.admit(event);
    // Of two requests under one id the first is carried out.
    const settled = taken.catch(() => undefined);
    this.inHand.set(event.id, settled);
    try {
      await taken;
    } finally {
      if (this.inHand.get(event.id) === settled) this.inHand.delete(event.id);
    }
  }

  private async admit(event: Request): Promise<void> {
    if (this.backlog || this.deciding >= DECISIONS) return this.put(event);
    this.deciding++;
    try {
      await this.outbox.transact((manager, add) => this.creation.decide(manager, add, event, digestOf(event)));
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

  /** Those that arrive together are written together. */
  private async putSome(): Promise<NextPass | undefined> {
    const some = this.arriving.splice(0, PUT_AT_ONCE);
    if (some.length === 0) return undefined;
    try {
      await putRequests(
        this.source.manager,
        some.map(({ event }) => ({ tenant: event.data.tenant ?? DEFAULT_TENANT, event })),
      );
      this.puts++;
      this.backlog = true;
      this.startWorkers();
      for (const { done } of some) done();
    } catch (error) {
      // The bus brings them again.
      for (const { failed } of some) failed(error);
    }
    // Acknowledged ones make room for the next, which are then written together too.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.arriving.length > 0) return 'again';
    this.putting = false;
    this.startWorkers();
    return undefined;
  }

  /** What another provisioner has put aside, or an outage left, is decided too. */
  private async sweep(): Promise<void> {
    this.backlog ||= await isAnyWaiting(this.source.manager);
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
      let taken: WaitingRequest | undefined;
      const { puts } = this;
      this.deciding++;
      try {
        await this.outbox.transact(async (manager, add) => {
          taken = await takeRequest(manager, this.lastTenant);
          if (!taken) return;
          this.lastTenant = taken.tenant;
          if (taken.failures >= MOST_FAILURES) this.creation.giveUp(add, taken.event);
          else await this.creation.decide(manager, add, taken.event, digestOf(taken.event));
        });
      } catch (error) {
        const isKnown = !taken && this.away;
        this.away = !taken;
        // An outage is said once, not by every worker every second.
        if (!isKnown)
          this.logger.warn(
            { err: error, eventId: taken?.event.id },
            'a request could not be decided; it is tried again',
          );
        if (!(await this.postpone(taken))) return;
      } finally {
        this.deciding--;
      }
      if (taken) continue;
      this.away = false;
      if (this.puts !== puts) continue;
      this.backlog = false;
      return;
    }
  }

  /** @returns false when the database is away: the sweep comes again */
  private async postpone(taken: WaitingRequest | undefined): Promise<boolean> {
    if (!taken) return false;
    try {
      await postponeRequest(this.source.manager, taken, RETRY_MS * 2 ** taken.failures);
      return true;
    } catch {
      // It waits as it did before.
      return false;
    }
  }
}

function digestOf({ data }: Request): string {
  return createHash('sha256').update(canonicalJson(data)).digest('hex');
}
