/** Looks every second or two for hosts that fell silent; several provisioners may do so at once. */
import { containerStatus, type ContainerState, SUBJECTS } from '@plinth/contracts';
import { type Logger, newId, type Outbox } from '@plinth/service-kit';
import { loseContainers, markLostHosts } from './adapters/postgres/host.store.js';
import { type ContainerRecord, factOf, statusOf } from './domain/container-record.js';
import { transition } from './domain/container-state.js';

const ALL_STATES: readonly ContainerState[] = ['requested', 'scheduled', 'starting', 'running', 'stopping', 'stopped', 'failed'];
const PERIOD_MS = 1_000;

export class LostHosts {
  private timer: NodeJS.Timeout | undefined;
  private readonly startedAt = performance.now();

  constructor(
    private readonly outbox: Outbox,
    private readonly lostSeconds: number,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      this.sweep().catch((error: unknown) => this.logger.warn({ err: error }, 'sweep for lost hosts interrupted; it comes again'));
    }, PERIOD_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    // While no provisioner ran nobody could hear the heartbeats: give every host its full time.
    if (performance.now() - this.startedAt < this.lostSeconds * 1_000) return;
    const live = ALL_STATES.filter((state) => transition(state, 'host-lost') !== undefined);
    await this.outbox.transact(async (manager, add) => {
      for (const { host, lastSeenAt } of await markLostHosts(manager, this.lostSeconds)) {
        const correlationId = newId();
        this.logger.warn({ host, lastSeenAt }, 'host is lost');
        add({ subject: SUBJECTS.hostLost, aggregate: `host:${host}`, data: { host, lastSeenAt }, correlationId });
        const lost: readonly ContainerRecord[] = await loseContainers(manager, host, live);
        for (const record of lost) {
          add({ subject: SUBJECTS.containerLost, aggregate: `container:${record.id}`, data: factOf(record.config), correlationId });
          add({ subject: containerStatus(record.id), data: statusOf(record), correlationId });
        }
      }
    });
  }
}
