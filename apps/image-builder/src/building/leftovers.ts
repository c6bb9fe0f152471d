/**
 * Finishes and removes leftovers of dead processes: at the start all of this service id, periodically those of others.
 */
import { Inject, Injectable } from '@nestjs/common';
import { versionNumber } from '@plinth/contracts';
import { type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { ImageBooter } from '../adapters/tree/image-booter.js';
import { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import { Deltas } from '../adapters/repository/deltas.js';
import { ImageRepository } from '../adapters/repository/image-repository.js';
import { Sandbox } from '../adapters/tools/sandbox.js';
import { WorkDirectories } from '../adapters/tools/work-directories.js';
import { Promotions } from './promotions.js';
import { ImageBuilderConfig } from '../config.js';

const SWEEP_MS = 30_000;
const WITHDRAWN = 'withdrawn';

@Injectable()
export class Leftovers {
  private readonly loop: WorkLoop;

  constructor(
    @Inject(ImageBuilderConfig) private readonly config: ImageBuilderConfig,
    @Inject(ImageCatalogue) private readonly catalogue: ImageCatalogue,
    @Inject(ImageRepository) private readonly repository: ImageRepository,
    @Inject(Deltas) private readonly deltas: Deltas,
    @Inject(WorkDirectories) private readonly directories: WorkDirectories,
    @Inject(Sandbox) private readonly sandbox: Sandbox,
    @Inject(ImageBooter) private readonly booter: ImageBooter,
    @Inject(Promotions) private readonly promotions: Promotions,
    @Inject(LOGGER) logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.promotions.finishAll(),
      periodMs: SWEEP_MS,
      failed: (error) => logger.warn({ err: error }, 'promotions not finished; they are tried again'),
    });
  }

  /** Runs before any build is taken: no leftover of a killed process may block the next attempt. */
  async start(): Promise<void> {
    await this.clean();
    await this.promotions.announceKept();
    this.loop.start();
  }

  /** All builds have ended. */
  async stop(): Promise<void> {
    await this.loop.stop();
    this.booter.close();
  }

  /** Containers are removed first: their mounts lie in the work directories. */
  private async clean(): Promise<void> {
    await this.sandbox.cleanUp();
    await this.booter.cleanUp();
    await this.directories.clear();
    await this.catalogue.releaseAllOf(this.config.PLINTH_SERVICE_ID);
    for (const stage of ['testing', 'production'] as const) {
      for (const { name, version } of await this.repository.versions(stage)) {
        const build = await this.catalogue.find(name, versionNumber(version));
        if (build?.state !== 'rejected' && build?.state !== 'retired') continue;
        await this.repository.withdraw(stage, name, version, await this.directories.make(WITHDRAWN));
        await this.directories.remove(WITHDRAWN);
        await this.deltas.forget({ name, version });
      }
    }
  }
}
