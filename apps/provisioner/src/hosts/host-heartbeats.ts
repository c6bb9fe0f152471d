/**
 * Heartbeats of hosts. Those that arrive during a write are written together in the next: most report nothing new, and a
 * statement for each would cost more than all placements. Those that do report something new, or are the first, are
 * written together after them.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, type HostHeartbeat, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, UnitOfWork } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { statusOf } from '../containers/domain/container-record.js';
import { announceHosts } from '../placement/node-status.store.js';
import { recoverContainers } from './host.store.js';
import { recordKnownHeartbeats } from './known-heartbeat.store.js';
import { recordNewHeartbeats } from './new-heartbeat.store.js';

/** Hosts in one transaction: as long as it lasts nothing is placed there. */
const PIECE = 200;

@Injectable()
export class HostHeartbeats {
  private readonly known: Together<HostHeartbeat, ReadonlySet<string>>;
  private readonly news: Together<HostHeartbeat, void>;

  constructor(
    @InjectDataSource() source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.known = new Together(
      ({ host }) => host,
      (beats) => recordKnownHeartbeats(source.manager, beats),
    );
    this.news = new Together(
      ({ host }) => host,
      (beats) => this.takeNews(beats),
    );
  }

  /** Resolves when it is stored. */
  async take(beat: HostHeartbeat): Promise<void> {
    if (!(await this.known.take(beat)).has(beat.host)) await this.news.take(beat);
  }

  /** They join, come back, or report something else than before. */
  private async takeNews(beats: readonly HostHeartbeat[]): Promise<void> {
    const sorted = [...beats].sort((a, b) => (a.host < b.host ? -1 : 1));
    for (let begin = 0; begin < sorted.length; begin += PIECE) {
      const some = sorted.slice(begin, begin + PIECE);
      try {
        await this.store(some);
      } catch (error) {
        if (some.length === 1) throw error;
        // One that can't be stored harms itself only: the next one of its host may be.
        for (const beat of some) await this.storeAlone(beat);
      }
    }
  }

  private async storeAlone(beat: HostHeartbeat): Promise<void> {
    try {
      await this.store([beat]);
    } catch (error) {
      this.logger.warn({ err: error, host: beat.host }, 'heartbeat not handled; the next one may be');
    }
  }

  private async store(beats: readonly HostHeartbeat[]): Promise<void> {
    await this.outbox.transact(async (manager, add) => {
      const effects = await recordNewHeartbeats(manager, beats);
      const of = (kind: string): string[] => [...effects].flatMap(([host, effect]) => (effect === kind ? [host] : []));
      const units = new Map(
        [...effects.keys()].map((host) => [host, new UnitOfWork(manager, { correlationId: newId() }, add)]),
      );
      const unitOf = (host: string): UnitOfWork =>
        units.get(host) ?? new UnitOfWork(manager, { correlationId: newId() }, add);
      const lastSeenAt = new Date().toISOString();
      const recovered = of('recovered');
      for (const host of of('joined'))
        unitOf(host).publish(SUBJECTS.hostJoined, { host, lastSeenAt }, { aggregate: `host:${host}` });
      for (const host of recovered)
        unitOf(host).publish(SUBJECTS.hostRecovered, { host, lastSeenAt }, { aggregate: `host:${host}` });
      await announceHosts(
        manager,
        [...effects].flatMap(([host, effect]) => (effect === 'known' ? [] : [host])),
        unitOf,
      );
      if (recovered.length === 0) return;
      for (const record of await recoverContainers(manager, recovered))
        unitOf(record.config.host).publish(containerStatus(record.id), statusOf(record));
    });
  }
}

/** What arrives during one write is written together in the next; of what has one name, the last. */
class Together<T, R> {
  private arriving = new Map<string, T>();
  /** Writes what has arrived when it begins; undefined: none is due. */
  private next: Promise<R> | undefined;
  private current: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly nameOf: (item: T) => string,
    private readonly write: (items: readonly T[]) => Promise<R>,
  ) {}

  /** Resolves when it is written. */
  take(item: T): Promise<R> {
    this.arriving.set(this.nameOf(item), item);
    this.next ??= this.writeNext();
    return this.next;
  }

  private writeNext(): Promise<R> {
    const written = this.current.then(() => {
      const items = [...this.arriving.values()];
      this.arriving = new Map();
      this.next = undefined;
      return this.write(items);
    });
    this.current = written.catch(() => undefined);
    return written;
  }
}
