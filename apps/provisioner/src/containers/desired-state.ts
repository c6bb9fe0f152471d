/** The desired-state and status streams as the provisioner keeps them, besides what the outbox publishes. */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, desiredContainer, hostStatus, storageStatus } from '@plinth/contracts';
import {
  CONNECTION,
  deleteLastValue,
  insertEvents,
  LOGGER,
  type Logger,
  newId,
  Outbox,
  type OutboxEvent,
} from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import type { DataSource, EntityManager } from 'typeorm';
import { statusOf } from './domain/container-record.js';
import { allGivenUp } from './released-config.store.js';
import { expectStatuses, isGoneFrom, lockPresent } from './container.store.js';
import { markAllHostImages } from '../images/host-images.store.js';
import { markAllProduction } from '../images/production.store.js';
import { markAllNeighbours } from '../network/neighbour.store.js';
import { hostStatuses, storageStatuses } from '../placement/node-status.store.js';

@Injectable()
export class DesiredState implements OnModuleInit {
  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.outbox.onAmnesia((stream, manager) => {
      this.logger.warn({ stream }, 'desired state and status are published again');
      return republishAll(manager);
    });
  }

  /**
   * Deletes the desired value of a container that has left a host; safe to repeat, also after the container came back.
   */
  async forget(host: string, containerId: string): Promise<void> {
    // A config that brings it back is published after it is in the database, so behind what was there before the look.
    await deleteLastValue(this.connection, desiredContainer(host, containerId), () =>
      isGoneFrom(this.source.manager, containerId, host),
    );
  }

  /** Deletes the status of a removed container; safe to repeat. */
  async forgetStatus(containerId: string): Promise<void> {
    await deleteLastValue(this.connection, containerStatus(containerId));
  }
}

/** Queues every present config and status again after the bus has lost them. */
export async function republishAll(manager: EntityManager): Promise<void> {
  for (const config of await allGivenUp(manager)) {
    await insertEvents(manager, [
      {
        subject: desiredContainer(config.host, config.containerId),
        data: config,
        correlationId: config.containerId,
      },
    ]);
  }
  for (const record of await lockPresent(manager)) {
    const { config } = record;
    await insertEvents(manager, [
      { subject: desiredContainer(config.host, record.id), data: config, correlationId: record.id },
      { subject: containerStatus(record.id), data: statusOf(record), correlationId: record.id },
    ]);
  }
  // An older state of the bus may have those that were deleted.
  await expectStatuses(manager);
  await markAllNeighbours(manager);
  await markAllProduction(manager);
  await markAllHostImages(manager);
  const correlationId = newId();
  await insertEvents(manager, [
    ...(await hostStatuses(manager, {})).map((data): OutboxEvent => ({
      subject: hostStatus(data.host),
      data,
      correlationId,
    })),
    ...(await storageStatuses(manager, {})).map((data): OutboxEvent => ({
      subject: storageStatus(data.node),
      data,
      correlationId,
    })),
  ]);
}
