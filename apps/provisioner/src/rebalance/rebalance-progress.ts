/**
 * Carries out a rebalance: the provisioner that has its row locked makes one decision at a time, each written whole or
 * not at all, so any of them may die between two.
 */
import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { REBALANCE_DEFAULTS, SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, newId, Outbox, type UnitOfWork, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { ProvisionerConfig } from '../config.js';
import { ContainerRelocation } from '../moves/container-relocation.js';
import { groupsOfContainers, lockGroups } from '../placement/group.store.js';
import { HostDirectory } from '../placement/host-directory.js';
import { judgeMove, type NextStep, nextStep, type OpenMove } from './domain/next-move.js';
import { whyNoLonger } from './domain/rebalance-plan.js';
import { loadConcerned } from './fleet.store.js';
import {
  activeRebalance,
  countMoves,
  endRebalance,
  isGroupDown,
  lockActiveRebalance,
  isMovePending,
  movesInProgress,
  pendingMoves,
  type RebalanceRow,
  saveFailedInRow,
  saveMove,
} from './rebalance.store.js';

const PERIOD_MS = 1_000;
/** Decisions in a row; the next pass comes soon. */
const MOST_DECISIONS = 50;
/** Moves that have not begun, of which the first that can be begun is. */
const LOOKED_AT = 20;
const MINUTE_MS = 60_000;

@Injectable()
export class RebalanceProgress {
  private readonly loop: WorkLoop;
  private isActive = false;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(ContainerRelocation) private readonly relocation: ContainerRelocation,
    @Inject(HostDirectory) private readonly directory: HostDirectory,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.advanceAll(),
      periodMs: PERIOD_MS,
      failed: (error) => this.logger.warn({ err: error }, 'the rebalance could not be moved on; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Wakes the loop: there is something to begin or to end. */
  kick(): void {
    this.loop.kick();
  }

  /** A host has reported something of containers: a move may have waited for it. */
  reported(): void {
    if (this.isActive) this.kick();
  }

  private async advanceAll(): Promise<void> {
    this.isActive = (await activeRebalance(this.source.manager)) !== undefined;
    for (let decisions = 0; this.isActive && decisions < MOST_DECISIONS && !this.loop.isStopping; decisions++)
      if (!(await this.advance())) break;
  }

  /** @returns whether the next decision may follow at once */
  private async advance(): Promise<boolean> {
    await this.directory.current();
    return this.outbox.work({ correlationId: newId() }, async (turn) => {
      const row = await lockActiveRebalance(turn.db);
      if (!row) return false;
      const unit = turn.causedBy({ correlationId: row.correlation_id, causationId: row.request_id });
      const inProgress = await movesInProgress(unit.db, row.id);
      if (await this.judge(unit, row, inProgress)) return true;
      const { request } = row;
      const step = nextStep(
        {
          state: row.state,
          atOnce: request.atOnce ?? REBALANCE_DEFAULTS.atOnce,
          maxFailures: request.maxFailures ?? REBALANCE_DEFAULTS.maxFailures,
          failedInRow: row.failed_in_row,
          lastFailure: row.message,
        },
        inProgress,
        await isMovePending(unit.db, row.id),
      );
      switch (step.kind) {
        case 'wait':
          return false;
        case 'end':
          await this.end(unit, row, step);
          return false;
        case 'begin':
          return this.beginOne(unit, row, step.busy, inProgress.length > 0);
      }
    });
  }

  /** Writes what has become of the moves in progress. @returns whether one has ended */
  private async judge(unit: UnitOfWork, row: RebalanceRow, inProgress: readonly OpenMove[]): Promise<boolean> {
    let failedInRow = row.failed_in_row;
    let failure: string | null = null;
    let hasEnded = false;
    for (const one of inProgress) {
      const judged = judgeMove(one);
      if (judged.phase === 'moving' && judged.message === one.message) continue;
      await saveMove(unit.db, row.id, one.ordinal, judged);
      if (judged.phase === 'moving') continue;
      hasEnded = true;
      if (judged.phase === 'moved') failedInRow = 0;
      if (judged.phase === 'failed') {
        failedInRow++;
        failure = `${one.move.name}: ${judged.message ?? ''}`;
      }
      const { containerId, from, to } = one.move;
      this.logger.info({ rebalanceId: row.id, containerId, from, to, ...judged }, 'a move of a rebalance has ended');
    }
    if (hasEnded) await saveFailedInRow(unit.db, row.id, failedInRow, failure);
    return hasEnded;
  }

  /** Begins the first that can be begun. @returns whether something was decided */
  private async beginOne(
    unit: UnitOfWork,
    row: RebalanceRow,
    busy: readonly string[],
    isBusy: boolean,
  ): Promise<boolean> {
    let last: { readonly candidate: OpenMove; readonly group: string } | undefined;
    for (let after = 0; ;) {
      const some = await pendingMoves(unit.db, row.id, { after, busy, limit: LOOKED_AT });
      for (const candidate of some) {
        const { ordinal, move, container } = candidate;
        after = ordinal;
        const group = container?.group;
        if (group && (await isGroupDown(unit.db, move.tenant, group, move.containerId))) {
          last = { candidate, group };
          continue;
        }
        const refusal = await this.begin(unit, row, candidate);
        if (refusal !== undefined) await this.skip(unit, row, candidate, refusal);
        else {
          await saveMove(unit.db, row.id, ordinal, { phase: 'moving', message: `it stops on ${move.from}` });
          this.logger.info({ rebalanceId: row.id, ...move }, 'a container is moved by a rebalance');
        }
        return true;
      }
      if (some.length < LOOKED_AT) break;
    }
    // It may be up when others have moved.
    if (!last || isBusy) return false;
    await this.skip(unit, row, last.candidate, `another container of its group ${last.group} is not up`);
    return true;
  }

  /** @returns why the container is not moved */
  private async begin(unit: UnitOfWork, row: RebalanceRow, { move }: OpenMove): Promise<string | undefined> {
    const { containerId: id, from, to, why } = move;
    // Groups are locked before hosts, by all who lock both.
    await lockGroups(unit.db, await groupsOfContainers(unit.db, [id]));
    const fleet = await loadConcerned(
      unit.db,
      {
        cpuOvercommit: this.config.PLINTH_CPU_OVERCOMMIT,
        cooldownMs: (row.request.cooldownMinutes ?? REBALANCE_DEFAULTS.cooldownMinutes) * MINUTE_MS,
      },
      move,
      this.directory.places,
    );
    const container = fleet.containers.find((each) => each.id === id);
    if (!container) return 'it was removed meanwhile';
    if (container.host !== from) return `it is on ${container.host} meanwhile`;
    return whyNoLonger(fleet, move) ?? this.relocation.moveTo(unit, id, to, why);
  }

  private async skip(unit: UnitOfWork, row: RebalanceRow, { ordinal, move }: OpenMove, why: string): Promise<void> {
    const message = why.slice(0, 1_000);
    await saveMove(unit.db, row.id, ordinal, { phase: 'skipped', message });
    this.logger.info(
      { rebalanceId: row.id, containerId: move.containerId, message },
      'a move of a rebalance is skipped',
    );
  }

  private async end(
    unit: UnitOfWork,
    { id }: RebalanceRow,
    { state, message }: Extract<NextStep, { kind: 'end' }>,
  ): Promise<void> {
    const text = message.slice(0, 2_000);
    await endRebalance(unit.db, id, state, text);
    const counts = await countMoves(unit.db, id);
    unit.publish(
      SUBJECTS.rebalanceFinished,
      { rebalanceId: id, state, counts, message: text },
      { aggregate: `rebalance:${id}` },
    );
    this.logger.info({ rebalanceId: id, state, counts, message: text }, 'a rebalance has ended');
  }
}
