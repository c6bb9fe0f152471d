/**
 * Heartbeats of hosts. Most report nothing new, and one of a host whose last report this process has seen in its row
 * only leaves its mark there; what reports something new, or is the first, is written after them. Those that arrive
 * during one write are written together in the next.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { containerStatus, type HostHeartbeat, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, type ReceivedHeartbeat, UnitOfWork } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { statusOf } from '../containers/domain/container-record.js';
import { announceHosts } from '../placement/node-status.store.js';
import { recoverContainers } from './host.store.js';
import {
  recordKnownHeartbeats,
  type KnownHost,
  recordRepeatedHeartbeats,
  type RepeatedBeat,
} from './known-heartbeat.store.js';
import { recordNewHeartbeats } from './new-heartbeat.store.js';
import { MergedWrites } from './merged-writes.js';

type Beat = ReceivedHeartbeat<HostHeartbeat>;

/** Hosts in one transaction: as long as it lasts nothing is placed there. */
const PIECE = 200;

@Injectable()
export class HostHeartbeats {
  /** By host: the number of its last report, as its row had it. */
  private readonly reports = new Map<string, string>();
  private readonly known: MergedWrites<Beat, ReadonlySet<string>>;
  private readonly news: MergedWrites<HostHeartbeat, void>;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.known = new MergedWrites(
      ({ data }) => data.host,
      // One that repeats another that was never written is news to the row.
      (waiting, next) => ({ ...next, isRepeat: waiting.isRepeat && next.isRepeat }),
      (beats) => this.takeKnown(beats),
    );
    this.news = new MergedWrites(
      ({ host }) => host,
      (_waiting, next) => next,
      (beats) => this.takeNews(beats),
    );
  }

  /** Resolves when they are stored. */
  async take(beats: readonly Beat[]): Promise<void> {
    if (beats.length === 0) return;
    const stored = await this.known.take(beats);
    const news = beats.flatMap(({ data }) => (stored.has(data.host) ? [] : [data]));
    if (news.length > 0) await this.news.take(news);
  }

  /** @returns names of hosts whose heartbeats are stored: they report nothing new */
  private async takeKnown(beats: readonly Beat[]): Promise<ReadonlySet<string>> {
    const repeated: RepeatedBeat[] = [];
    for (const { data, isRepeat } of beats) {
      const report = this.reports.get(data.host);
      if (report === undefined) continue;
      if (isRepeat) repeated.push({ beat: data, report });
      else this.reports.delete(data.host);
    }
    const stored = new Set(await recordRepeatedHeartbeats(this.source.manager, repeated));
    for (const { beat } of repeated) if (!stored.has(beat.host)) this.reports.delete(beat.host);
    const others = beats.flatMap(({ data }) => (stored.has(data.host) ? [] : [data]));
    for (const { host, report } of await this.recordKnown(others)) {
      stored.add(host);
      this.reports.set(host, report);
    }
    return stored;
  }

  private async recordKnown(beats: readonly HostHeartbeat[]): Promise<readonly KnownHost[]> {
    if (beats.length === 0) return [];
    try {
      return await recordKnownHeartbeats(this.source.manager, beats);
    } catch (error) {
      // One that can't be stored harms itself only: as news each is written alone.
      this.logger.warn({ err: error, count: beats.length }, 'heartbeats could not be stored together');
      return [];
    }
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
