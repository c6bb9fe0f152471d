/** Looks every second or two for hosts that fell silent; several provisioners may do so at once. */
import { Inject, Injectable } from '@nestjs/common';
import { containerStatus, type ContainerState, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, WorkLoop } from '@plinth/service-kit';
import { type HeardHost, hostsInUse, loseContainers, markSilent } from './host.store.js';
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
  /** By host: its last count of heartbeats, and when it was first seen, by this process's clock: what jumps is the time of day. */
  private readonly heard = new Map<string, { readonly beats: string; readonly atMs: number }>();

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.sweep(),
      periodMs: PERIOD_MS,
      retryMs: () => PERIOD_MS,
      failed: (error) => this.logger.warn({ err: error }, 'sweep for lost hosts interrupted; it comes again'),
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
    await this.outbox.transact(async (manager, add) => {
      const silent = this.silence(await hostsInUse(manager));
      for (const { host } of await markSilent(manager, silent(this.config.PLINTH_HOST_LOST_SECONDS / 2), 'suspect'))
        this.logger.warn({ host }, 'host is silent; nothing new is placed there');
      for (const { host, lastSeenAt } of await markSilent(
        manager,
        silent(this.config.PLINTH_HOST_LOST_SECONDS),
        'lost',
      )) {
        const correlationId = newId();
        this.logger.warn({ host, lastSeenAt }, 'host is lost');
        add({ subject: SUBJECTS.hostLost, aggregate: `host:${host}`, data: { host, lastSeenAt }, correlationId });
        const lost: readonly ContainerRecord[] = await loseContainers(manager, host, live);
        for (const record of lost) {
          add({
            subject: SUBJECTS.containerLost,
            aggregate: `container:${record.id}`,
            data: factOf(record.config),
            correlationId,
          });
          add({ subject: containerStatus(record.id), data: statusOf(record), correlationId });
        }
      }
    });
  }

  /** While no provisioner ran nobody could hear the heartbeats: every host has its full time from when it is first looked at. */
  private silence(hosts: readonly HeardHost[]): (seconds: number) => HeardHost[] {
    const nowMs = performance.now();
    for (const { host, beats } of hosts)
      if (this.heard.get(host)?.beats !== beats) this.heard.set(host, { beats, atMs: nowMs });
    return (seconds) => hosts.filter(({ host }) => nowMs - (this.heard.get(host)?.atMs ?? nowMs) >= seconds * 1000);
  }
}
