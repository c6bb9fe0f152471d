/**
 * What was kept long enough goes: the status of removed containers from the bus, their records and those of ended
 * rollouts and rebalances from the database, and all but the newest entries of a container's history.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { LOGGER, type Logger, type NextPass, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { DesiredState } from '../containers/desired-state.js';
import { deleteEndedRebalance } from '../rebalance/rebalance.store.js';
import {
  deleteEndedRollout,
  deleteRemovedContainers,
  longHistories,
  markForgotten,
  oldStatuses,
  PIECE,
  shortenHistory,
} from './retention.store.js';

/** Statuses that are deleted from the bus at once: each is two questions to the server. */
const AT_ONCE = 16;
/** Of a container; `plinth inspect` shows the newest 50. */
export const KEPT_HISTORY = 200;
const HISTORY_PERIOD_MS = 6 * 3_600_000;

@Injectable()
export class Retention {
  private readonly loop: WorkLoop;
  /** By a clock that does not jump; the first look comes with the start. */
  private lastHistories = -HISTORY_PERIOD_MS;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(DesiredState) private readonly desired: DesiredState,
    @Inject(LOGGER) logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.deletePiece(),
      periodMs: config.PLINTH_RETENTION_SECONDS * 1_000,
      failed: (error) => logger.warn({ err: error }, 'old records could not be deleted; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async deletePiece(): Promise<NextPass | void> {
    const { manager } = this.source;
    const { PLINTH_KEEP_STATUS_HOURS: hours, PLINTH_KEEP_RECORDS_DAYS: days } = this.config;
    const statuses = await oldStatuses(manager, hours, PIECE);
    for (let begin = 0; begin < statuses.length && !this.loop.isStopping; begin += AT_ONCE) {
      const some = statuses.slice(begin, begin + AT_ONCE);
      await Promise.all(some.map((id) => this.desired.forgetStatus(id)));
      await markForgotten(manager, some);
    }
    const rollouts = await deleteEndedRollout(manager, days);
    const rebalances = await deleteEndedRebalance(manager, days);
    const containers = await deleteRemovedContainers(manager, days);
    await this.shortenHistories();
    if (rollouts || rebalances || statuses.length === PIECE || containers === PIECE) return 'again';
  }

  private async shortenHistories(): Promise<void> {
    if (performance.now() - this.lastHistories < HISTORY_PERIOD_MS) return;
    this.lastHistories = performance.now();
    for (const id of await longHistories(this.source.manager, KEPT_HISTORY)) {
      if (this.loop.isStopping) return;
      await shortenHistory(this.source.manager, id, KEPT_HISTORY);
    }
  }
}
