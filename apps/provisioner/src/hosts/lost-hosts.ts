/**
 * Looks every second or two for hosts and storage nodes that have gone silent; several provisioners may do so at once.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, type ContainerState, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, UnitOfWork, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { hostsInUse, loseContainers, markSilent, markStorageLost, type NodeInUse, storageInUse } from './host.store.js';
import { announceHosts, announceStorage } from '../placement/node-status.store.js';
import { Silence } from './silence.js';
import { factOf, statusOf } from '../containers/domain/container-record.js';
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
/** Reading a host costs 2 µs: ten thousand are looked at every second second. */
const PAUSE_MS_PER_HOST = 0.12;

/** Hosts in one transaction: as long as it lasts their heartbeats wait for it. */
const PIECE = 100;

function inPieces<T>(all: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / PIECE) }, (_, at) => all.slice(at * PIECE, (at + 1) * PIECE));
}

@Injectable()
export class LostHosts {
  private readonly loop: WorkLoop;
  private readonly hosts = new Silence();
  private readonly storageNodes = new Silence();
  /** By a clock that does not jump. */
  private hostsDue = 0;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
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
    if (performance.now() >= this.hostsDue) await this.sweepHosts();
    await this.loseStorage();
  }

  private async sweepHosts(): Promise<void> {
    const all = await hostsInUse(this.source.manager);
    this.hostsDue = performance.now() + all.length * PAUSE_MS_PER_HOST;
    const silent = this.hosts.among(all, performance.now());
    const quiet = silent(this.config.PLINTH_HOST_LOST_SECONDS / 2).filter(({ state }) => state === 'ready');
    for (const some of inPieces(quiet)) await this.suspect(some);
    for (const some of inPieces(silent(this.config.PLINTH_HOST_LOST_SECONDS))) await this.lose(some);
  }

  private async suspect(hosts: readonly NodeInUse[]): Promise<void> {
    await this.outbox.transact(async (manager, add) => {
      const marked = await markSilent(manager, hosts, 'suspect');
      if (marked.length === 0) return;
      const names = marked.map(({ name }) => name);
      this.logger.warn({ hosts: names }, 'hosts are silent; no container is placed there');
      await announceHosts(manager, names, () => new UnitOfWork(manager, { correlationId: newId() }, add));
    });
  }

  private async lose(hosts: readonly NodeInUse[]): Promise<void> {
    const live = ALL_STATES.filter((state) => transition(state, 'host-lost') !== undefined);
    await this.outbox.transact(async (manager, add) => {
      const marked = await markSilent(manager, hosts, 'lost');
      if (marked.length === 0) return;
      const names = marked.map(({ name }) => name);
      this.logger.warn({ hosts: names }, 'hosts are lost');
      const units = new Map(names.map((name) => [name, new UnitOfWork(manager, { correlationId: newId() }, add)]));
      const unitOf = (host: string): UnitOfWork =>
        units.get(host) ?? new UnitOfWork(manager, { correlationId: newId() }, add);
      for (const { name: host, lastSeenAt } of marked)
        unitOf(host).publish(SUBJECTS.hostLost, { host, lastSeenAt }, { aggregate: `host:${host}` });
      await announceHosts(manager, names, unitOf);
      for (const record of await loseContainers(manager, names, live)) {
        const unit = unitOf(record.config.host);
        unit.publish(SUBJECTS.containerLost, factOf(record.config), { aggregate: `container:${record.id}` });
        unit.publish(containerStatus(record.id), statusOf(record));
      }
    });
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
