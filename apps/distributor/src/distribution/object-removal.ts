/** Removes objects that no master has: after a removal, at start, and now and then for what crashes have left. */
import { Inject, Injectable } from '@nestjs/common';
import { type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { ObjectDirectory } from '@plinth/image-transfer';

const PERIOD_MS = 6 * 3_600_000;

@Injectable()
export class ObjectRemoval {
  private readonly stopping = new AbortController();
  private readonly loop: WorkLoop;

  constructor(
    @Inject(ObjectDirectory) private readonly objects: ObjectDirectory,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.collect(),
      periodMs: PERIOD_MS,
      failed: (error) => {
        if (!this.loop.isStopping)
          logger.error({ err: error }, 'objects that no master has could not be removed; it is tried again');
      },
    });
  }

  start(): void {
    this.loop.start();
  }

  kick(): void {
    this.loop.kick();
  }

  /** Cancels a collection; the next one goes on. */
  async stop(): Promise<void> {
    const stopped = this.loop.stop();
    this.stopping.abort();
    await stopped;
  }

  private async collect(): Promise<void> {
    const { kept, removed, removedBytes } = await this.objects.collect(this.stopping.signal);
    if (removed > 0) this.logger.info({ kept, removed, removedBytes }, 'objects that no master has are removed');
  }
}
