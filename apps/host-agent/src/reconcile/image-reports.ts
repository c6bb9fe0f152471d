/**
 * Publishes what becomes of the images in this host's store, in order. What is not stored on the bus when the process
 * ends is not reported again: the heartbeat lists what is there.
 */
import { type HostImageReport, hostImageReport } from '@plinth/contracts';
import { type EventPublisher, type Logger, newId, WorkLoop } from '@plinth/service-kit';

/** While the bus is away, the oldest ones are dropped beyond this number. */
const KEPT_AT_MOST = 1_000;
const RETRY_MS = 1_000;

export class ImageReports {
  private readonly waiting: { readonly id: string; readonly report: HostImageReport }[] = [];
  private publisher: EventPublisher | undefined;
  private readonly loop: WorkLoop;

  constructor(
    private readonly host: string,
    logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.publish(),
      retryMs: () => RETRY_MS,
      failed: (error) => logger.debug({ err: error }, 'report of an image not stored yet; it is sent again'),
    });
  }

  /** Reports wait until this is called. */
  attach(publisher: EventPublisher): void {
    this.publisher = publisher;
    this.loop.start();
  }

  send(report: Omit<HostImageReport, 'host'>): void {
    this.waiting.push({ id: newId(), report: { host: this.host, ...report } });
    if (this.waiting.length > KEPT_AT_MOST) this.waiting.shift();
    this.loop.kick();
  }

  close(): Promise<void> {
    return this.loop.stop();
  }

  private async publish(): Promise<void> {
    for (let next = this.waiting[0]; next && !this.loop.isStopping; next = this.waiting[0]) {
      const { id, report } = next;
      await this.publisher?.publish({ subject: hostImageReport(this.host), data: report, id, time: report.at });
      if (this.waiting[0] === next) this.waiting.shift();
    }
  }
}
