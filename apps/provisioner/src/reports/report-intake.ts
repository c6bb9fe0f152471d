/**
 * Reports that arrive during a transaction are taken together in the next. When that fails, each is taken alone: one bad
 * report harms itself only.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type Logger, LOGGER } from '@plinth/service-kit';
import { ContainerReports, type Report, sourceOf } from './container-reports.js';
import { ReportBatch } from './report-batch.js';

/** Reports in one transaction. */
export const BATCH = 128;
/** While one waits for the database another is computed. */
const BATCHES = 2;
/** Taken alone at once, after a batch has failed. */
const ALONE = 8;

interface Arriving {
  readonly event: Report;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

@Injectable()
export class ReportIntake {
  private arriving: Arriving[] = [];
  private inProgress = 0;

  constructor(
    @Inject(ReportBatch) private readonly batch: Pick<ReportBatch, 'take'>,
    @Inject(ContainerReports) private readonly reports: Pick<ContainerReports, 'take'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Resolves when it is stored. Reports of one container by one host come one after the other. */
  take(event: Report): Promise<void> {
    // A host is chosen for the container, which takes the locks of others.
    if (event.data.kind === 'released') return this.reports.take(event);
    return new Promise((done, failed) => {
      this.arriving.push({ event, done, failed });
      this.next();
    });
  }

  private next(): void {
    while (this.inProgress < BATCHES && this.arriving.length > 0) {
      this.inProgress++;
      void this.takeSome(this.choose()).finally(() => {
        this.inProgress--;
        this.next();
      });
    }
  }

  /** Of each container one: another host may report it too. */
  private choose(): readonly Arriving[] {
    const chosen = new Map<string, Arriving>();
    const left: Arriving[] = [];
    for (const one of this.arriving) {
      const { containerId } = sourceOf(one.event);
      if (chosen.size < BATCH && !chosen.has(containerId)) chosen.set(containerId, one);
      else left.push(one);
    }
    this.arriving = left;
    return [...chosen.values()];
  }

  private async takeSome(some: readonly Arriving[]): Promise<void> {
    try {
      const early = await this.batch.take(some.map(({ event }) => event));
      for (const { event, done, failed } of some) {
        const error = early.get(event);
        if (error) failed(error);
        else done();
      }
    } catch (error) {
      if (some.length === 1) return some[0]?.failed(error);
      this.logger.warn(
        { err: error, reports: some.length },
        'reports could not be stored together; each is stored alone',
      );
      for (let begin = 0; begin < some.length; begin += ALONE)
        await Promise.all(some.slice(begin, begin + ALONE).map((one) => this.takeAlone(one)));
    }
  }

  private async takeAlone({ event, done, failed }: Arriving): Promise<void> {
    try {
      await this.reports.take(event);
      done();
    } catch (error) {
      failed(error);
    }
  }
}
