/** Decides requests for containers: as they come, or from the table in which they wait, tenant by tenant. */
import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { canonicalJson } from '@plinth/contracts';
import { causeOf, type Logger, LOGGER, MAX_DELIVERIES, Outbox, retryDelay, UnitOfWork } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ContainerCreation } from './container-creation.js';
import { DEFAULT_TENANT } from './domain/container-config.js';
import {
  isAnyWaiting,
  postponeRequest,
  putRequests,
  type Request,
  takeRequest,
  type WaitingRequest,
} from './intake.store.js';

@Injectable()
export class WaitingRequests {
  private lastTenant = '';

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ContainerCreation) private readonly creation: ContainerCreation,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  async decide(event: Request): Promise<void> {
    await this.outbox.work(causeOf(event), (unit) => this.creation.decide(unit, event, digestOf(event)));
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
   * Decides the oldest request of the next tenant. A request that cannot be decided is tried as often, and after the
   * same pauses, as the bus delivers a message; then it is refused.
   * @returns whether a request waited
   * @throws Error when the database does not answer; the request waits as before
   */
  async decideNext(): Promise<boolean> {
    let taken: WaitingRequest | undefined;
    try {
      await this.outbox.transact(async (manager, add) => {
        taken = await takeRequest(manager, this.lastTenant);
        if (!taken) return;
        this.lastTenant = taken.tenant;
        const unit = new UnitOfWork(manager, causeOf(taken.event), add);
        if (taken.failures >= MAX_DELIVERIES) this.creation.refuseUndecided(unit, taken.event);
        else await this.creation.decide(unit, taken.event, digestOf(taken.event));
      });
      return taken !== undefined;
    } catch (error) {
      if (!taken) throw error;
      this.logger.warn({ err: error, eventId: taken.event.id }, 'a request could not be decided; it is tried again');
      await postponeRequest(this.source.manager, taken, retryDelay(taken.failures + 1, Math.random()));
      return true;
    }
  }
}

function digestOf({ data }: Request): string {
  return createHash('sha256').update(canonicalJson(data)).digest('hex');
}
