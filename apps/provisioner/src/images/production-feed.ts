/**
 * Sends storage nodes and hosts what is in production. What changed is marked in the transaction of the change; here it
 * is read and published, for all changes of a version since the last time at once.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { desiredImage } from '@plinth/contracts';
import { type Logger, LOGGER, newId, type NextPass, Outbox, type UnitOfWork, WorkLoop } from '@plinth/service-kit';
import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { productionImage } from './domain/production-state.js';
import {
  lockProduction,
  markSent,
  readProduction,
  takeProductionChanges,
  type Version,
  versionsWithChanges,
} from './production.store.js';

/** Changes within this time are published together. */
const PERIOD_MS = 200;
const VERSIONS_PER_PASS = 100;

@Injectable()
export class ProductionFeed {
  private readonly loop: WorkLoop;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.publishAll(),
      periodMs: PERIOD_MS,
      failed: (error) =>
        this.logger.warn({ err: error }, 'storage nodes were not sent what is in production; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async publishAll(): Promise<NextPass | void> {
    const changed = await versionsWithChanges(this.source.manager, VERSIONS_PER_PASS);
    for (const version of changed) {
      if (this.loop.isStopping) return;
      await this.outbox.work({ correlationId: newId() }, (unit) => publishVersion(unit, version));
    }
    if (changed.length === VERSIONS_PER_PASS) return 'again';
  }
}

async function publishVersion(unit: UnitOfWork, version: Version): Promise<void> {
  if (!(await lockProduction(unit.db, version))) return;
  await takeProductionChanges(unit.db, version);
  const found = await readProduction(unit.db, version);
  const value = found && productionImage(found.image, found.nodes, found.holders);
  if (!found || !value) return;
  const digest = createHash('sha256').update(JSON.stringify(value)).digest('hex');
  if (digest === found.sent) return;
  await markSent(unit.db, version, digest);
  const promotion = found.image.promotion;
  const due = promotion ? unit.causedBy({ correlationId: promotion.correlationId, causationId: promotion.id }) : unit;
  due.publish(desiredImage(version.name, version.version), value);
}
