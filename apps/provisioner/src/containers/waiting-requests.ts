/**
 * Decides requests for containers, many in one transaction: as they come, or from the table in which they wait, tenant
 * by tenant. What can't be decided together is decided one by one: a request that fails harms itself only.
 */
import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { canonicalJson } from '@plinth/contracts';
import { causeOf, type Logger, LOGGER, MAX_DELIVERIES, Outbox, retryDelay, UnitOfWork } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ContainerCreation } from './container-creation.js';
import { BatchConflict, type BatchItem, CreationBatch } from './creation-batch.js';
import { DEFAULT_TENANT } from './domain/container-config.js';
import {
  deleteRequests,
  isAnyWaiting,
  lockRequests,
  postponeRequest,
  putRequests,
  type Request,
  takeRequest,
  type WaitingRequest,
  waitingTenants,
} from './intake.store.js';

const TENANTS_AT_ONCE = 64;
/** Batches whose messages the bus does not have yet. */
const UNDELIVERED = 3;
/** So many failures one after the other mean that the fault is not in the requests. */
const FAILURES_IN_ROW = 3;

/** Of one request. */
export type DecisionOutcome = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

const DECIDED: DecisionOutcome = { ok: true };

@Injectable()
export class WaitingRequests {
  private lastTenant = '';
  private readonly undelivered = new Set<Promise<void>>();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ContainerCreation) private readonly creation: ContainerCreation,
    @Inject(CreationBatch) private readonly batch: CreationBatch,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @param events ids differ @returns the outcome of each */
  async decide(events: readonly Request[]): Promise<readonly DecisionOutcome[]> {
    const items = events.map(itemOf);
    let open: readonly BatchItem[] = items;
    try {
      // Other batches had the hosts that were left open: they are free again when those have ended.
      for (let before = Number.POSITIVE_INFINITY; open.length > 0 && open.length < before;) {
        before = open.length;
        open = await this.decideTogether(open);
      }
    } catch (error) {
      if (items.length === 1 && !(error instanceof BatchConflict)) return [{ ok: false, error }];
      this.logFallback(error, items.length);
    }
    const outcomes = new Map<BatchItem, DecisionOutcome>();
    let failuresInRow = 0;
    for (const item of open) {
      const last: DecisionOutcome | undefined = [...outcomes.values()].at(-1);
      const outcome = failuresInRow >= FAILURES_IN_ROW && last ? last : await this.decideAlone(item);
      failuresInRow = outcome.ok ? 0 : failuresInRow + 1;
      outcomes.set(item, outcome);
    }
    return items.map((item) => outcomes.get(item) ?? DECIDED);
  }

  /** @returns what is left open */
  private async decideTogether(items: readonly BatchItem[]): Promise<readonly BatchItem[]> {
    await this.deliveryTurn();
    const { value: open, delivered } = await this.outbox.transactFresh((manager, add) =>
      this.batch.decide(manager, add, items),
    );
    this.track(delivered);
    return items.filter(({ event }) => open.has(event.id));
  }

  /** Stores all of them, or none when it rejects. */
  async put(events: readonly Request[]): Promise<void> {
    const requests = events.map((event) => ({ tenant: event.data.tenant ?? DEFAULT_TENANT, event }));
    await putRequests(this.source.manager, requests);
  }

  isAnyWaiting(): Promise<boolean> {
    return isAnyWaiting(this.source.manager);
  }

  /**
   * Decides the oldest requests of the next tenants, as many of each. A request that cannot be decided is tried as
   * often, and after the same pauses, as the bus delivers a message; then it is refused.
   * @returns whether a request waited
   * @throws Error when the database does not answer; the requests wait as before
   */
  async decideNext(most: number): Promise<boolean> {
    let taken: readonly WaitingRequest[] = [];
    let alone: readonly WaitingRequest[] = [];
    await this.deliveryTurn();
    try {
      const { delivered } = await this.outbox.transactFresh(async (manager, add) => {
        const tenants = await waitingTenants(manager, this.lastTenant, Math.min(TENANTS_AT_ONCE, most));
        if (tenants.length === 0) return;
        taken = await lockRequests(manager, tenants, Math.ceil(most / tenants.length));
        this.lastTenant = tenants.at(-1) ?? '';
        const first = taken.filter(({ failures }) => failures === 0);
        const items = first.map(({ event }) => itemOf(event));
        const open = items.length > 0 ? await this.batch.decide(manager, add, items) : new Set<string>();
        const together = first.filter(({ event }) => !open.has(event.id));
        await deleteRequests(manager, together);
        // What is left open waits for the next batch, which has other hosts, as long as there is progress.
        const isOpen = (request: WaitingRequest): boolean => request.failures > 0 || together.length === 0;
        alone = taken.filter(isOpen);
      });
      this.track(delivered);
    } catch (error) {
      if (taken.length === 0) throw error;
      this.logFallback(error, taken.length);
      alone = taken;
    }
    for (const request of alone) await this.decideWaiting(request);
    return taken.length > 0;
  }

  /** @throws Error when the database does not answer; the request waits as before */
  private async decideWaiting(request: WaitingRequest): Promise<void> {
    const { event, failures } = request;
    try {
      await this.outbox.transact(async (manager, add) => {
        if (!(await takeRequest(manager, request))) return;
        const unit = new UnitOfWork(manager, causeOf(event), add);
        if (failures >= MAX_DELIVERIES) this.creation.refuseUndecided(unit, event);
        else await this.creation.decide(unit, event, digestOf(event));
      });
    } catch (error) {
      this.logger.warn({ err: error, eventId: event.id }, 'a request could not be decided; it is tried again');
      await postponeRequest(this.source.manager, request, retryDelay(failures + 1, Math.random()));
    }
  }

  private async decideAlone({ event, digest }: BatchItem): Promise<DecisionOutcome> {
    try {
      await this.outbox.work(causeOf(event), (unit) => this.creation.decide(unit, event, digest));
      return DECIDED;
    } catch (error) {
      return { ok: false, error };
    }
  }

  /** What is decided and not yet published stays bounded. */
  private async deliveryTurn(): Promise<void> {
    while (this.undelivered.size >= UNDELIVERED) await Promise.race(this.undelivered);
  }

  private track(delivered: Promise<void>): void {
    const tracked: Promise<void> = delivered.finally(() => this.undelivered.delete(tracked));
    this.undelivered.add(tracked);
  }

  private logFallback(error: unknown, requests: number): void {
    const level = error instanceof BatchConflict ? 'debug' : 'warn';
    this.logger[level]({ err: error, requests }, 'requests could not be decided together; they are decided one by one');
  }
}

function itemOf(event: Request): BatchItem {
  return { event, digest: createHash('sha256').update(canonicalJson(event.data)).digest('hex') };
}

function digestOf(event: Request): string {
  return itemOf(event).digest;
}
