/**
 * Publishes reports: each container's in order, each stored on the bus once, also after lost connections and the
 * agent's own end.
 */
import { randomBytes } from 'node:crypto';
import { type ContainerReport, hostReport } from '@plinth/contracts';
import type { EventPublisher, Logger } from '@plinth/service-kit';
import type { JournaledReport, ReportJournal } from '../adapters/report-journal.js';

const RETRY_MS = 1_000;

export class Reporter {
  private readonly queues = new Map<string, JournaledReport[]>();
  private publisher: EventPublisher | undefined;
  private opened: () => void = () => undefined;
  private connected = new Promise<void>((resolve) => {
    this.opened = resolve;
  });
  private stopping = false;
  private idle: (() => void)[] = [];

  constructor(
    private readonly host: string,
    private readonly journal: ReportJournal,
    private readonly logger: Logger,
  ) {}

  /** Reports that an earlier agent could not publish go first. */
  async recover(): Promise<void> {
    for (const entry of await this.journal.readAll()) this.enqueue(entry);
  }

  /** Reports wait until this is called. */
  attach(publisher: EventPublisher): void {
    this.publisher = publisher;
    this.opened();
  }

  /** Resolves when the report would outlive this process; it is published asynchronously. */
  async send(
    report: ContainerReport,
    cause: { readonly correlationId?: string; readonly causationId?: string } = {},
  ): Promise<void> {
    const entry: JournaledReport = { messageId: randomBytes(16).toString('hex'), report, ...cause };
    await this.journal.add(entry);
    this.enqueue(entry);
  }

  /** Reports that the bus has not stored yet. */
  get pending(): number {
    return [...this.queues.values()].reduce((sum, queue) => sum + queue.length, 0);
  }

  isPending(containerId: string): boolean {
    return this.queues.has(containerId);
  }

  /**
   * Whether a report of the container was surely never sent. The first one of a queue does not count: an earlier agent,
   * or a try whose answer was lost, may have published it, and the bus drops a second copy.
   */
  hasUnsent(containerId: string): boolean {
    return (this.queues.get(containerId)?.length ?? 0) > 1;
  }

  /** Waits until nothing is pending or the time is over; the rest stays in the journal. */
  async close(patienceMs: number): Promise<void> {
    if (this.queues.size > 0) {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)));
      await Promise.race([new Promise<void>((resolve) => this.idle.push(resolve)), patience]);
      clearTimeout(timer);
    }
    this.stopping = true;
  }

  private enqueue(entry: JournaledReport): void {
    const queue = this.queues.get(entry.report.containerId);
    if (queue) {
      queue.push(entry);
      return;
    }
    this.queues.set(entry.report.containerId, [entry]);
    void this.pump(entry.report.containerId);
  }

  private async pump(containerId: string): Promise<void> {
    const queue = this.queues.get(containerId) ?? [];
    for (let entry = queue[0]; entry && !this.stopping; entry = queue[0]) {
      if (!this.publisher) await this.connected;
      if (!(await this.publish(entry))) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      await this.forget(entry);
      queue.shift();
    }
    this.queues.delete(containerId);
    if (this.queues.size === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  /** When it can't, the file stays: the next agent sends the report once more. */
  private async forget(entry: JournaledReport): Promise<void> {
    try {
      await this.journal.remove(entry);
    } catch (error) {
      this.logger.error(
        { err: error, containerId: entry.report.containerId },
        'a published report could not be removed from the journal',
      );
    }
  }

  private async publish({ messageId, report, correlationId, causationId }: JournaledReport): Promise<boolean> {
    try {
      const subject = hostReport(this.host, report.containerId);
      await this.publisher?.publish({
        subject,
        data: report,
        id: messageId,
        time: report.at,
        correlationId,
        causationId,
      });
      return true;
    } catch (error) {
      this.logger.debug(
        { err: error, containerId: report.containerId, sequence: report.sequence },
        'report not stored yet; it is sent again',
      );
      return false;
    }
  }
}
