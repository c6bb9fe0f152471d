/** The end of a version here: first the catalogue says so, then its files go from both repositories. What a crash cut off is finished at the next start. */
import { type ImageRetired, versionNumber } from '@plinth/contracts';
import type { Logger, Outbox, ReceivedEvent } from '@plinth/service-kit';
import type { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import type { ImageRepository } from '../adapters/repository/image-repository.js';
import type { StatusReporter } from '../adapters/tools/status-reporter.js';
import type { WorkDirectories } from '../adapters/tools/work-directories.js';
import { ACTIVE_STATES } from '../domain/lifecycle.js';
import { refOf } from '../domain/image-build.js';

export class Retirements {
  constructor(
    private readonly outbox: Outbox,
    private readonly catalogue: ImageCatalogue,
    private readonly repository: ImageRepository,
    private readonly directories: WorkDirectories,
    private readonly statuses: StatusReporter,
    private readonly logger: Logger,
  ) {}

  /** Safe to repeat. */
  async retire({ data }: ReceivedEvent<ImageRetired>): Promise<void> {
    const { name, version } = data;
    const build = await this.outbox.transact(async (manager) => {
      const found = await this.catalogue.lock(manager, name, versionNumber(version));
      // Nothing that is being built or was rejected is ever in production: the fact is not about ours.
      if (!found || ACTIVE_STATES.includes(found.state) || found.state === 'rejected') return undefined;
      if (found.state !== 'retired') await this.catalogue.setRetired(manager, found);
      return found;
    });
    if (!build) {
      this.logger.warn({ image: `${name}@${version}` }, 'retired, but not an image of this catalogue');
      return;
    }
    for (const stage of ['production', 'testing'] as const) {
      const aside = `retired-${build.buildId}`;
      await this.repository.withdraw(stage, name, version, await this.directories.make(aside));
      await this.directories.remove(aside);
    }
    this.statuses.settled(build, 'retired');
    this.logger.info({ image: refOf(build) }, 'image retired, its archive is removed');
  }
}
