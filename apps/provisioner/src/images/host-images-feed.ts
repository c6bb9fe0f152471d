/** Sends hosts what their stores are to hold, many in one transaction; each only what differs from the last time. */
import { Inject, Injectable } from '@nestjs/common';
import { desiredHostImages } from '@plinth/contracts';
import { type Logger, LOGGER, newId, type NextPass, Outbox, type UnitOfWork, WorkLoop } from '@plinth/service-kit';
import { createHash } from 'node:crypto';
import { hostImages } from './domain/host-images.js';
import {
  forgetDoneEvictions,
  lockHostImages,
  markWishesSent,
  readWishes,
  takeHostChanges,
} from './host-images.store.js';

const PERIOD_MS = 500;
const HOSTS_PER_PASS = 200;

@Injectable()
export class HostImagesFeed {
  private readonly loop: WorkLoop;

  constructor(
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.publish(),
      periodMs: PERIOD_MS,
      failed: (error) =>
        this.logger.warn({ err: error }, 'hosts were not sent what their stores are to hold; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async publish(): Promise<NextPass | void> {
    const changed = await this.outbox.work({ correlationId: newId() }, publishSome);
    if (changed === HOSTS_PER_PASS) return 'again';
  }
}

/** @returns how many hosts were looked at */
async function publishSome(unit: UnitOfWork): Promise<number> {
  if (!(await lockHostImages(unit.db))) return 0;
  const hosts = await takeHostChanges(unit.db, HOSTS_PER_PASS);
  if (hosts.length === 0) return 0;
  await forgetDoneEvictions(unit.db, hosts);
  for (const { wishes, sent } of await readWishes(unit.db, hosts)) {
    const value = hostImages(wishes);
    const digest = createHash('sha256').update(JSON.stringify(value)).digest('hex');
    if (digest === sent) continue;
    await markWishesSent(unit.db, value.host, digest);
    unit.publish(desiredHostImages(value.host), value);
  }
  return hosts.length;
}
