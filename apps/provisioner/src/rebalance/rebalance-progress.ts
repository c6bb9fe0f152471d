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
import { judgeMove, type NextStep, nextStep, type OpenMove } from './domain/carrying-out.js';
import { whyNoLonger } from './domain/rebalance-plan.js';
import { loadFleet } from './fleet.store.js';
import {
  activeRebalance,
  countMoves,
  endRebalance,
  isGroupDown,
  lockActiveRebalance,
  openMoves,
  type RebalanceRow,
  saveFailedInRow,
  saveMove,
} from './rebalance.store.js';

const PERIOD_MS = 1_000;
/** Decisions in a row; the next pass comes soon. */
const MOST_DECISIONS = 50;
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
  private advance(): Promise<boolean> {
    return this.outbox.work({ correlationId: newId() }, async (turn) => {
      const row = await lockActiveRebalance(turn.db);
      if (!row) return false;
      const unit = turn.causedBy({ correlationId: row.correlation_id, causationId: row.request_id });
      const open = await openMoves(unit.db, row.id);
      if (await this.judge(unit, row, open)) return true;
      const { request } = row;
      const step = nextStep(
        {
          state: row.state,
          atOnce: request.atOnce ?? REBALANCE_DEFAULTS.atOnce,
          maxFailures: request.maxFailures ?? REBALANCE_DEFAULTS.maxFailures,
          failedInRow: row.failed_in_row,
          lastFailure: row.message,
        },
        open,
      );
      switch (step.kind) {
        case 'wait':
          return false;
        case 'end':
          await this.end(unit, row, step);
          return false;
        case 'begin':
          return this.beginOne(
            unit,
            row,
            step.candidates,
            open.some(({ phase }) => phase === 'moving'),
          );
      }
    });
  }

  /** Writes what has become of the moves in progress. @returns whether one has ended */
  private async judge(unit: UnitOfWork, row: RebalanceRow, open: readonly OpenMove[]): Promise<boolean> {
    let failedInRow = row.failed_in_row;
    let failure: string | null = null;
    let hasEnded = false;
    for (const one of open) {
      if (one.phase !== 'moving') continue;
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
    candidates: readonly OpenMove[],
    isBusy: boolean,
  ): Promise<boolean> {
    for (const candidate of candidates) {
      const { ordinal, move, container } = candidate;
      const group = container?.group;
      if (group && (await isGroupDown(unit.db, move.tenant, group, move.containerId))) {
        // It may be up when others have moved.
        if (isBusy || candidate !== candidates.at(-1)) continue;
        await this.skip(unit, row, candidate, `another container of its group ${group} is not up`);
        return true;
      }
      const refusal = await this.begin(unit, row, candidate);
      if (refusal !== undefined) await this.skip(unit, row, candidate, refusal);
      else {
        await saveMove(unit.db, row.id, ordinal, { phase: 'moving', message: `it stops on ${move.from}` });
        this.logger.info({ rebalanceId: row.id, ...move }, 'a container is moved by a rebalance');
      }
      return true;
    }
    return false;
  }

  /** @returns why the container is not moved */
  private async begin(unit: UnitOfWork, row: RebalanceRow, { move }: OpenMove): Promise<string | undefined> {
    const { containerId: id, tenant, from, to, why } = move;
    // Groups are locked before hosts, by all who lock both.
    await lockGroups(unit.db, await groupsOfContainers(unit.db, [id]));
    const fleet = await loadFleet(unit.db, {
      cpuOvercommit: this.config.PLINTH_CPU_OVERCOMMIT,
      cooldownMs: (row.request.cooldownMinutes ?? REBALANCE_DEFAULTS.cooldownMinutes) * MINUTE_MS,
      leastGap: 0,
      one: { id, tenant },
    });
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
