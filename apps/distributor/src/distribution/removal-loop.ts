/**
 * Removes the masters of retired versions: out of sight by one rename, deleted, told, done with. May die anywhere: the next life, or another
 * distributor of this node, goes on; what was renamed and not deleted lies in the staging directory, which is cleaned at start.
 */
import { type MasterReport, masterReport } from '@plinth/contracts';
import { derivedId, type EventPublisher, type Logger, WorkLoop } from '@plinth/service-kit';
import type { MasterRepository } from '../adapters/master-repository.js';
import type { Retirements } from '../adapters/retirements.js';
import type { Staging } from '../adapters/staging.js';
import type { ImageVersion } from '../domain/storage-layout.js';

export interface RemovalParts {
  readonly node: string;
  readonly masters: MasterRepository;
  readonly staging: Staging;
  readonly retirements: Retirements;
  readonly publisher: EventPublisher;
  readonly logger: Logger;
}

/** How soon a version that an installation has in hand is looked at again, and what another distributor gave up. */
const SCAN_MS = 1_000;

export class RemovalLoop {
  private readonly loop: WorkLoop;

  constructor(private readonly parts: RemovalParts) {
    this.loop = new WorkLoop({
      pass: () => this.removeAll(),
      periodMs: SCAN_MS,
      failed: (error) =>
        parts.logger.error({ err: error }, 'the list of retired versions can not be read; it is tried again'),
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
    for (const image of await this.parts.retirements.pending()) {
      if (this.loop.isStopping) return;
      await this.remove(image).catch((error: unknown) =>
        this.parts.logger.error(
          { err: error, image: image.name, version: image.version },
          'a retired version could not be removed; it is tried again',
        ),
      );
    }
  }

  private async remove(image: ImageVersion): Promise<void> {
    const { masters, staging, retirements, logger } = this.parts;
    const lock = masters.tryLock(image);
    if (!lock) return;
    try {
      const removal = await retirements.read(image);
      // Another distributor of this node was quicker.
      if (!removal) return;
      await masters.withdraw(image);
      await staging.clean(image, false);
      await this.report(image, removal.eventId, removal.correlationId);
      await retirements.finish(image);
      logger.info(
        { image: image.name, version: image.version, correlationId: removal.correlationId },
        'retired: no master stands here any more',
      );
    } finally {
      lock.release();
    }
  }

  private async report({ name, version }: ImageVersion, eventId: string, correlationId: string): Promise<void> {
    const { node, publisher } = this.parts;
    const data: MasterReport = { kind: 'removed', node, name, version, at: new Date().toISOString() };
    const id = derivedId('master-removed', node, `${name}@${version}`, eventId);
    await publisher.publish({
      subject: masterReport(node),
      data,
      id,
      correlationId: correlationId || id,
      causationId: eventId || undefined,
    });
  }
}
