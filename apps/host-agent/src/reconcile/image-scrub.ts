/**
 * Reads the images in this host's store now and then, slowly. One with a damage is marked: nothing is started on it, what
 * runs goes on, and the supply fetches what is damaged, or removes the image when nothing uses it.
 */
import { type Logger, WorkLoop } from '@plinth/service-kit';
import type { OwnImages } from '../adapters/own-images.js';

export interface ScrubOptions {
  readonly periodMs: number;
  readonly bytesPerSecond: number;
}

export class ImageScrub {
  private readonly stopping = new AbortController();
  private readonly loop: WorkLoop;

  /** @param damaged called for each image that was marked */
  constructor(
    private readonly images: OwnImages,
    private readonly options: ScrubOptions,
    private readonly damaged: (image: string) => void,
    private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.checkAll(),
      periodMs: options.periodMs,
      failed: (error) => {
        if (!this.loop.isStopping)
          logger.error({ err: error }, 'the images in the store could not be checked; it is tried again');
      },
    });
  }

  start(): void {
    this.loop.start(this.options.periodMs);
  }

  /** Cancels a check; the next process begins again. */
  async stop(): Promise<void> {
    const stopped = this.loop.stop();
    this.stopping.abort(new Error('stopping'));
    await stopped;
  }

  private async checkAll(): Promise<void> {
    for (const { image, damaged } of this.images.list()) {
      if (this.loop.isStopping) return;
      if (damaged) continue;
      const problems = await this.images.check(image, this.options.bytesPerSecond, this.stopping.signal);
      if (problems.length === 0) continue;
      this.logger.error(
        { image, count: problems.length, problems: problems.slice(0, 10) },
        'an image is damaged: nothing is started on it until it is repaired',
      );
      this.damaged(image);
    }
  }
}
