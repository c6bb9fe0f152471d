/**
 * Reads all installed images now and then, slowly. A version with a damage is marked, which keeps hosts from starting
 * anything on it, and wanted again: the installation fetches what is damaged.
 */
import { Inject, Injectable } from '@nestjs/common';
import { derivedId, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { type ImageVersion, InstalledImages, markIfDamaged, ObjectDirectory } from '@plinth/image-transfer';
import { Origins } from '../adapters/origins.js';
import { WantedStore } from '../adapters/wanted-store.js';
import { DistributorConfig } from '../config.js';
import { want } from '../domain/wanted-image.js';
import { DistributionLoop } from './distribution-loop.js';

const HOUR_MS = 3_600_000;
const MIB = 1024 ** 2;

@Injectable()
export class Scrub {
  private readonly stopping = new AbortController();
  private readonly loop: WorkLoop;
  private readonly periodMs: number;
  private isFirst = true;

  constructor(
    @Inject(InstalledImages) private readonly masters: InstalledImages,
    @Inject(ObjectDirectory) private readonly objects: ObjectDirectory,
    @Inject(Origins) private readonly origins: Origins,
    @Inject(WantedStore) private readonly wanted: WantedStore,
    @Inject(DistributionLoop) private readonly distribution: DistributionLoop,
    @Inject(DistributorConfig) private readonly config: DistributorConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.periodMs = config.PLINTH_SCRUB_HOURS * HOUR_MS;
    this.loop = new WorkLoop({
      pass: () => this.checkAll(),
      periodMs: this.periodMs,
      failed: (error) => {
        if (!this.loop.isStopping)
          logger.error({ err: error }, 'installed images could not be checked; it is tried again');
      },
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Cancels a check; the next process begins again. */
  async stop(): Promise<void> {
    const stopped = this.loop.stop();
    this.stopping.abort();
    await stopped;
  }

  private async checkAll(): Promise<void> {
    // Versions that an earlier process has marked are wanted again at once.
    for (const { image, standing } of await this.masters.list()) {
      if (this.loop.isStopping) return;
      if (standing.state === 'damaged' ? standing.repairable : !this.isFirst) await this.check(image, standing.state);
    }
    this.isFirst = false;
  }

  private async check(image: ImageVersion, state: 'complete' | 'damaged' | 'absent'): Promise<void> {
    const { masters, logger } = this;
    if (state === 'damaged') return this.wantAgain(image);
    const limit = this.config.PLINTH_SCRUB_MIB_PER_SECOND * MIB;
    const problems = await markIfDamaged(masters, this.objects, image, limit, this.stopping.signal);
    if (problems.length === 0) return;
    const { name, version } = image;
    logger.error(
      { image: name, version, count: problems.length, problems: problems.slice(0, 10) },
      'a master is damaged: nothing is started on it until it is repaired',
    );
    await this.wantAgain(image);
  }

  private async wantAgain(image: ImageVersion): Promise<void> {
    const promotion = await this.origins.read(image);
    if (!promotion) {
      this.logger.error({ image: image.name, version: image.version }, 'promote it again to have it repaired');
      return;
    }
    const id = derivedId('repair', image.name, image.version);
    await this.wanted.add(want(promotion, { id, correlationId: id }, new Date()));
    this.distribution.kick();
  }
}
