/** The desired-state and status streams as the provisioner keeps them, besides what the outbox publishes. */
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, desiredContainer, hostStatus, storageStatus, STREAMS } from '@plinth/contracts';
import { CONNECTION, insertEvents, LOGGER, type Logger, newId, Outbox, type OutboxEvent } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import type { DataSource } from 'typeorm';
import { statusOf } from './domain/container-record.js';
import { allGivenUp } from './given-up.store.js';
import { isGoneFrom, lockPresent } from './container.store.js';
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
    this.outbox.onAmnesia((stream) => {
      this.logger.warn({ stream }, 'desired state and status are published again');
      return republishAll(this.source);
    });
  }

  /**
   * Purges the desired value of a container that has left a host; safe to repeat, also after the container came back.
   */
  async forget(host: string, containerId: string): Promise<void> {
    const jsm = await this.connection.jetstreamManager();
    // The order matters: a config that brings it back is published after it is in the database, so behind what is
    // purged.
    const { state } = await jsm.streams.info(STREAMS.desired.name);
    if (!(await isGoneFrom(this.source.manager, containerId, host))) return;
    await jsm.streams.purge(STREAMS.desired.name, {
      filter: desiredContainer(host, containerId),
      seq: state.last_seq + 1,
    });
  }
}

/** Queues every present config and status again after the bus has lost them. */
export async function republishAll(source: DataSource): Promise<void> {
  await source.transaction(async (manager) => {
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
    await markAllNeighbours(manager);
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
  });
}
