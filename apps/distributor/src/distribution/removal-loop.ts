/**
 * Removes the masters of retired versions: each is moved to staging by one rename, deleted there, and reported. The
 * process may die anywhere: the next one, or another distributor of this node, goes on; a master that was moved and not
 * deleted is in staging, which is cleaned at start.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type MasterReport, masterReport } from '@plinth/contracts';
import { derivedId, EventPublisher, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { type ImageVersion, InstalledImages, Staging } from '@plinth/image-transfer';
import { Origins } from '../adapters/origins.js';
import { Retirements } from '../adapters/retirements.js';
import { ObjectRemoval } from './object-removal.js';
import type { StorageNode } from '../domain/targeting.js';
import { STORAGE_NODE } from '../tokens.js';

/** Period in which a version that was locked, or that another distributor has left, is tried again. */
const SCAN_MS = 1_000;

@Injectable()
export class RemovalLoop {
  private readonly loop: WorkLoop;

  constructor(
    @Inject(STORAGE_NODE) private readonly node: StorageNode,
    @Inject(InstalledImages) private readonly masters: InstalledImages,
    @Inject(Staging) private readonly staging: Staging,
    @Inject(Retirements) private readonly retirements: Retirements,
    @Inject(Origins) private readonly origins: Origins,
    @Inject(ObjectRemoval) private readonly objects: ObjectRemoval,
    @Inject(EventPublisher) private readonly publisher: EventPublisher,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.removeAll(),
      periodMs: SCAN_MS,
      failed: (error) =>
        logger.error({ err: error }, 'the list of retired versions can not be read; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  kick(): void {
    this.loop.kick();
  }

  /** Returns when the removal in progress is done. */
  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async removeAll(): Promise<void> {
    for (const image of await this.retirements.pending()) {
      if (this.loop.isStopping) return;
      await this.remove(image).catch((error: unknown) =>
        this.logger.error(
          { err: error, image: image.name, version: image.version },
          'a retired version could not be removed; it is tried again',
        ),
      );
    }
  }

  private async remove(image: ImageVersion): Promise<void> {
    const { masters, staging, retirements, logger } = this;
    const lock = masters.tryLock(image);
    if (!lock) return;
    try {
      const removal = await retirements.read(image);
      // Another distributor of this node was faster.
      if (!removal) return;
      await masters.withdraw(image);
      await staging.clean(image, false);
      await this.origins.remove(image);
      await this.report(image, removal.eventId, removal.correlationId);
      await retirements.finish(image);
      logger.info(
        { image: image.name, version: image.version, correlationId: removal.correlationId },
        'retired: its master is removed',
      );
      this.objects.kick();
    } finally {
      lock.release();
    }
  }

  private async report({ name, version }: ImageVersion, eventId: string, correlationId: string): Promise<void> {
    const { name: node } = this.node;
    const data: MasterReport = { kind: 'removed', node, name, version, at: new Date().toISOString() };
    const id = derivedId('master-removed', node, `${name}@${version}`, eventId);
    await this.publisher.publish({
      subject: masterReport(node),
      data,
      id,
      correlationId: correlationId || id,
      causationId: eventId || undefined,
    });
  }
}
