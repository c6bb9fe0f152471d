/**
 * The retirement of a version: it is stored in the catalogue, then the files are removed from both repositories. The
 * next start finishes an interrupted one.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type ImageRetired, versionNumber } from '@plinth/contracts';
import { type Logger, LOGGER, Outbox, type ReceivedEvent } from '@plinth/service-kit';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { Deltas } from '../adapters/repository/deltas.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import { StatusReporter } from '../adapters/tools/status-reporter.js';
import { WorkDirectories } from '../adapters/tools/work-directories.js';
import { ACTIVE_STATES } from '../domain/version-states.js';
import { refOf } from '../domain/image-build.js';

@Injectable()
export class Retirements {
  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(WorkDirectories) private readonly directories: WorkDirectories,
    @Inject(Deltas) private readonly deltas: Deltas,
    @Inject(StatusReporter) private readonly statuses: StatusReporter,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Safe to repeat. */
  async retire({ data }: ReceivedEvent<ImageRetired>): Promise<void> {
    const { name, version } = data;
    const build = await this.outbox.transact(async (manager) => {
      const found = await this.catalogue.lock(manager, name, versionNumber(version));
      // A version that is being built or was rejected is never in production: the fact is about a version of another
      // catalogue.
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
    await this.deltas.forget({ name, version });
    this.statuses.settled(build, 'retired');
    this.logger.info({ image: refOf(build) }, 'image retired, its archive is removed');
  }
}
