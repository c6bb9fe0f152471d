/**
 * Looks every second or two for hosts and storage nodes that have gone silent; several provisioners may do so at once.
 */
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, type ContainerState, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, WorkLoop } from '@plinth/service-kit';
import { hostsInUse, loseContainers, markSilent, markStorageLost, storageInUse } from './host.store.js';
import { announceHost, announceStorage } from '../placement/node-status.store.js';
import { Silence } from './silence.js';
import { type ContainerRecord, factOf, statusOf } from '../containers/domain/container-record.js';
import { transition } from '../containers/domain/container-state.js';
import { ProvisionerConfig } from '../config.js';

const ALL_STATES: readonly ContainerState[] = [
  'requested',
  'scheduled',
  'starting',
  'running',
  'stopping',
  'stopped',
  'failed',
];
const PERIOD_MS = 1_000;

@Injectable()
export class LostHosts {
  private readonly loop: WorkLoop;
  private readonly hosts = new Silence();
  private readonly storageNodes = new Silence();

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.sweep(),
      periodMs: PERIOD_MS,
      retryMs: () => PERIOD_MS,
      failed: (error) => this.logger.warn({ err: error }, 'the sweep for lost hosts failed; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async sweep(): Promise<void> {
    const live = ALL_STATES.filter((state) => transition(state, 'host-lost') !== undefined);
    await this.outbox.work({ correlationId: newId() }, async (sweep) => {
      const silent = this.hosts.among(await hostsInUse(sweep.db), performance.now());
      for (const { name: host } of await markSilent(
        sweep.db,
        silent(this.config.PLINTH_HOST_LOST_SECONDS / 2),
        'suspect',
      )) {
        this.logger.warn({ host }, 'host is silent; no container is placed there');
        await announceHost(sweep.causedBy({ correlationId: newId() }), host);
      }
      for (const { name: host, lastSeenAt } of await markSilent(
        sweep.db,
        silent(this.config.PLINTH_HOST_LOST_SECONDS),
        'lost',
      )) {
        const unit = sweep.causedBy({ correlationId: newId() });
        this.logger.warn({ host, lastSeenAt }, 'host is lost');
        unit.publish(SUBJECTS.hostLost, { host, lastSeenAt }, { aggregate: `host:${host}` });
        await announceHost(unit, host);
        const lost: readonly ContainerRecord[] = await loseContainers(sweep.db, host, live);
        for (const record of lost) {
          unit.publish(SUBJECTS.containerLost, factOf(record.config), { aggregate: `container:${record.id}` });
          unit.publish(containerStatus(record.id), statusOf(record));
        }
      }
    });
    await this.loseStorage();
  }

  private async loseStorage(): Promise<void> {
    await this.outbox.work({ correlationId: newId() }, async (sweep) => {
      const silent = this.storageNodes.among(await storageInUse(sweep.db), performance.now());
      for (const { name: node, lastSeenAt } of await markStorageLost(
        sweep.db,
        silent(this.config.PLINTH_HOST_LOST_SECONDS),
      )) {
        const unit = sweep.causedBy({ correlationId: newId() });
        this.logger.warn({ node, lastSeenAt }, 'storage node is lost');
        unit.publish(SUBJECTS.storageLost, { node, lastSeenAt }, { aggregate: `storage:${node}` });
        await announceStorage(unit, node);
      }
    });
  }
}
