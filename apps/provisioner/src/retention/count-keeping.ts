/** Folds the changes of kept numbers, and compares the numbers with a count of all rows now and then. */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { LOGGER, type Logger, type NextPass, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { correctCounts, foldCounts } from '../placement/count.store.js';

const PERIOD_MS = 2_000;
/** It reads all containers. */
const CHECK_PERIOD_MS = 6 * 3_600_000;

@Injectable()
export class CountKeeping {
  private readonly loop: WorkLoop;
  /** By a clock that does not jump. The first check comes after a period: a start does not wait for it. */
  private lastCheck = performance.now();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.keep(),
      periodMs: PERIOD_MS,
      failed: (error) => logger.warn({ err: error }, 'kept numbers could not be folded; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async keep(): Promise<NextPass | void> {
    if (await foldCounts(this.source.manager)) return 'again';
    if (performance.now() - this.lastCheck < CHECK_PERIOD_MS) return;
    this.lastCheck = performance.now();
    const drift = await correctCounts(this.source.manager);
    if (drift.length > 0)
      this.logger.error(
        { drift: drift.slice(0, 20), wrong: drift.length },
        'kept numbers were wrong; they are corrected',
      );
  }
}
