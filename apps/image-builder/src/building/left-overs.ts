/** Finishes and removes what a process left that died: at the start everything of this service id, now and then what others left. */
import { versionNumber } from '@plinth/contracts';
import { type Logger, WorkLoop } from '@plinth/service-kit';
import type { ImageBooter } from '../adapters/tree/image-booter.js';
import type { ImageCatalogue } from '../adapters/postgres/image-catalogue.js';
import type { ImageRepository } from '../adapters/repository/image-repository.js';
import type { Sandbox } from '../adapters/tools/sandbox.js';
import type { WorkDirectories } from '../adapters/tools/work-directories.js';
import type { Promotions } from './promotions.js';

const SWEEP_MS = 30_000;
const WITHDRAWN = 'withdrawn';

export class LeftOvers {
  private readonly loop: WorkLoop;

  constructor(
    private readonly serviceId: string,
    private readonly catalogue: ImageCatalogue,
    private readonly repository: ImageRepository,
    private readonly directories: WorkDirectories,
    private readonly sandbox: Sandbox,
    private readonly booter: ImageBooter,
    private readonly promotions: Promotions,
    logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.promotions.finishAll(),
      periodMs: SWEEP_MS,
      failed: (error) => logger.warn({ err: error }, 'promotions not finished; they are tried again'),
    });
  }

  /** Containers first: their mounts lie in the work directories. */
  async clean(): Promise<void> {
    await this.sandbox.cleanUp();
    await this.booter.cleanUp();
    await this.directories.clear();
    await this.catalogue.releaseAllOf(this.serviceId);
    for (const stage of ['testing', 'production'] as const) {
      for (const { name, version } of await this.repository.versions(stage)) {
        const build = await this.catalogue.find(name, versionNumber(version));
        if (build?.state !== 'rejected' && build?.state !== 'retired') continue;
        await this.repository.withdraw(stage, name, version, await this.directories.make(WITHDRAWN));
        await this.directories.remove(WITHDRAWN);
      }
    }
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }
}
