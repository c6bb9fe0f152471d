/**
 * Heartbeats of hosts. Those that arrive during a write are written together in the next: most report nothing new, and a
 * statement for each would cost more than all placements.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, type HostHeartbeat, SUBJECTS } from '@plinth/contracts';
import { newId, Outbox } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { statusOf } from '../containers/domain/container-record.js';
import { saveReportedPolicies } from '../network/tenant-egress.store.js';
import { announceHost } from '../placement/node-status.store.js';
import { recordHostHeartbeat, recoverContainers } from './host.store.js';
import { recordKnownHeartbeats } from './known-heartbeat.store.js';

@Injectable()
export class HostHeartbeats {
  /** By host: the last heartbeat. */
  private arriving = new Map<string, HostHeartbeat>();
  /** Writes what has arrived when it begins; undefined: none is due. */
  private next: Promise<ReadonlySet<string>> | undefined;
  private current: Promise<unknown> = Promise.resolve();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
  ) {}

  /** Resolves when it is stored. */
  async take(beat: HostHeartbeat): Promise<void> {
    this.arriving.set(beat.host, beat);
    this.next ??= this.writeNext();
    if (!(await this.next).has(beat.host)) await this.takeNews(beat);
  }

  private writeNext(): Promise<ReadonlySet<string>> {
    const written = this.current.then(() => {
      const beats = [...this.arriving.values()];
      this.arriving = new Map();
      this.next = undefined;
      return recordKnownHeartbeats(this.source.manager, beats);
    });
    this.current = written.catch(() => undefined);
    return written;
  }

  /** It joins, comes back, or reports something else than before. */
  private async takeNews(beat: HostHeartbeat): Promise<void> {
    const { host } = beat;
    await this.outbox.work({ correlationId: newId() }, async (unit) => {
      const meaning = await recordHostHeartbeat(unit.db, beat);
      if (beat.tenantPolicies) await saveReportedPolicies(unit.db, host, beat.tenantPolicies);
      if (meaning === 'known') return;
      if (meaning !== 'changed') {
        const subject = meaning === 'joined' ? SUBJECTS.hostJoined : SUBJECTS.hostRecovered;
        unit.publish(subject, { host, lastSeenAt: new Date().toISOString() }, { aggregate: `host:${host}` });
      }
      await announceHost(unit, host);
      if (meaning === 'recovered') {
        for (const record of await recoverContainers(unit.db, [host])) {
          unit.publish(containerStatus(record.id), statusOf(record));
        }
      }
    });
  }
}
