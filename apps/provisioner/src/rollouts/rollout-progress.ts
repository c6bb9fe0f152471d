/** Moves rollouts on: locks one, plans its next steps, writes them; several provisioners may do so at once. */
import { Inject, Injectable, Optional } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { SUBJECTS } from '@plinth/contracts';
import {
  type Logger,
  LOGGER,
  newId,
  Outbox,
  TIMERS,
  type Timers,
  type UnitOfWork,
  WorkLoop,
} from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import { lockContainer } from '../containers/container.store.js';
import {
  activeRollouts,
  assignBatch,
  changeMember,
  changeOf,
  loadRolloutView,
  lockRollout,
  type RolloutChange,
  type RolloutRow,
  saveRollout,
} from './rollout.store.js';
import { loadUpdateCatalogue } from '../containers/update.store.js';
import { announceUpdate, imageNames } from './container-update.js';
import { requestedStep } from '../containers/domain/requested-step.js';
import { beginRestore, beginUpdate, chooseTarget, fallbackImage } from '../containers/domain/image-update.js';
import { planRollout } from './domain/rollout-plan.js';
import type { RolloutStep, RolloutView } from './domain/rollout-view.js';
import { announceRollout, type RolloutAnnouncement } from './rollout-announcement.js';
import { ProvisionerConfig } from '../config.js';

type StepOf<K extends RolloutStep['kind']> = Extract<RolloutStep, { kind: K }>;

const PERIOD_MS = 1_000;
/** Decisions in a row for one rollout; the next pass comes soon. */
const MOST_DECISIONS = 50;

@Injectable()
export class RolloutProgress {
  private readonly loop: WorkLoop;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(ProvisionerConfig) private readonly config: ProvisionerConfig,
    @Inject(LOGGER) private readonly logger: Logger,
    @Optional() @Inject(TIMERS) timers?: Timers,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.advanceAll(),
      periodMs: PERIOD_MS,
      timers,
      failed: (error) => this.logger.warn({ err: error }, 'rollouts could not be moved on; it is tried again'),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Wakes the loop: a change that a rollout waits for may have happened. */
  kick(): void {
    this.loop.kick();
  }

  private async advanceAll(): Promise<void> {
    for (const id of await activeRollouts(this.source.manager)) {
      for (let decisions = 0; decisions < MOST_DECISIONS && !this.loop.isStopping; decisions++)
        if (!(await this.advance(id))) break;
    }
  }

  /** Makes one decision, written whole or not at all. @returns whether the next one may follow at once */
  private advance(id: string): Promise<boolean> {
    return this.outbox.work({ correlationId: id }, async (turn) => {
      const row = await lockRollout(turn.db, id);
      if (!row || row.ended_at !== null) return false;
      const unit = turn.causedBy({ correlationId: row.correlation_id, causationId: row.request_id });
      const view = await loadRolloutView(unit.db, row);
      const { steps, wait } = planRollout(view, row.now.getTime());
      const waits = JSON.stringify(wait) !== JSON.stringify(row.wait);
      if (steps.length === 0 && !waits) return false;
      let change: RolloutChange = { ...changeOf(row), wait };
      const announcements: RolloutAnnouncement[] = [];
      for (const step of steps) {
        this.logger.debug({ rolloutId: id, step }, 'rollout step');
        const announcement = await this.take(unit, row, view, step);
        if (announcement) announcements.push(announcement);
        change = afterStep(change, step, view);
      }
      const saved = await saveRollout(unit.db, id, change);
      await announceRollout(unit, saved, announcements);
      return steps.length > 0;
    });
  }

  private async take(
    unit: UnitOfWork,
    row: RolloutRow,
    view: RolloutView,
    step: RolloutStep,
  ): Promise<RolloutAnnouncement | undefined> {
    switch (step.kind) {
      case 'assign':
        await assignBatch(unit.db, row.id, step.ordinal, step.batch);
        return undefined;
      case 'settle':
        await changeMember(unit.db, row.id, step.ordinal, step);
        return undefined;
      case 'switch':
        await this.switch(unit, row, step);
        return undefined;
      case 'restore':
        await this.restore(unit, row, step);
        return undefined;
      case 'batch-started':
        return (fact) => ({
          subject: SUBJECTS.rolloutBatchStarted,
          data: {
            ...fact,
            message: `batch ${step.batch} of ${step.size} containers`,
            batch: step.batch,
            size: step.size,
          },
        });
      case 'batch-finished':
        return (fact) => ({
          subject: SUBJECTS.rolloutBatchFinished,
          data: { ...fact, message: `batch ${step.batch} was judged`, batch: step.batch, size: step.size },
        });
      case 'become':
        this.logger.info(
          { rolloutId: row.id, from: view.state, to: step.state, because: step.because, message: step.message },
          'rollout changes state',
        );
        return announcementOfState(step);
      case 'end':
        return (fact) => ({ subject: SUBJECTS.rolloutAborted, data: { ...fact, message: step.message } });
    }
  }

  private async switch(
    unit: UnitOfWork,
    row: RolloutRow,
    { ordinal, containerId, image: target }: StepOf<'switch'>,
  ): Promise<void> {
    const record = await lockContainer(unit.db, containerId);
    // The container may have changed between the view and the lock; it is planned again then.
    if (!record || record.config.desired !== 'running') return;
    const step = requestedStep(record, 'update-requested');
    if (!step.ok) return;
    const chosen = chooseTarget(
      record,
      target,
      await loadUpdateCatalogue(unit.db, imageNames(record, target), this.config.PLINTH_HOST_LOST_SECONDS),
    );
    if (!chosen.ok) {
      await changeMember(unit.db, row.id, ordinal, {
        phase: 'skipped',
        reason: chosen.reason,
        message: chosen.message,
      });
      return;
    }
    const updateId = newId();
    const now = new Date().toISOString();
    const next = {
      ...beginUpdate(record, chosen.target, row.request, { updateId, rolloutId: row.id }, fallbackImage(record), {
        requestedAt: now,
        decidedAt: now,
      }),
      state: step.state,
    };
    await announceUpdate(unit, next, `rollout ${row.id} moves it to ${target}`);
    await changeMember(unit.db, row.id, ordinal, { phase: 'switching', updateId });
  }

  private async restore(
    unit: UnitOfWork,
    row: RolloutRow,
    { ordinal, containerId, image }: StepOf<'restore'>,
  ): Promise<void> {
    const record = await lockContainer(unit.db, containerId);
    if (!record || record.moving || record.config.desired === 'removed') return;
    const { candidates } = await loadUpdateCatalogue(
      unit.db,
      imageNames(record, image),
      this.config.PLINTH_HOST_LOST_SECONDS,
    );
    const found = candidates.find((candidate) => candidate.image === image);
    if (found?.state !== 'promoted' || found.contentDigest === null) {
      await changeMember(unit.db, row.id, ordinal, {
        phase: 'failed',
        reason: 'image-unavailable',
        message: `${image} is ${found?.state ?? 'unknown'}: it stays on ${record.config.image}`,
      });
      return;
    }
    const now = new Date().toISOString();
    const next = beginRestore(
      record,
      { image, contentDigest: found.contentDigest },
      { requestedAt: now, decidedAt: now },
    );
    await announceUpdate(unit, next, `rollout ${row.id} reverts it to ${image}`);
    await changeMember(unit.db, row.id, ordinal, { phase: 'restoring', restoreGeneration: next.config.generation });
  }
}

function afterStep(change: RolloutChange, step: RolloutStep, view: RolloutView): RolloutChange {
  switch (step.kind) {
    case 'batch-finished':
      return { ...change, finishedBatch: Math.max(view.finishedBatch, step.batch) };
    case 'become': {
      const ended = step.state === 'completed' || step.state === 'reverted';
      return {
        ...change,
        state: step.state,
        pausedBecause: step.state === 'paused' ? (step.because ?? null) : null,
        ended,
      };
    }
    case 'end':
      return { ...change, ended: true };
    default:
      return change;
  }
}

function announcementOfState({ state, because, message }: StepOf<'become'>): RolloutAnnouncement | undefined {
  switch (state) {
    case 'paused':
      return (fact) => ({
        subject: SUBJECTS.rolloutPaused,
        data: { ...fact, message, because: because ?? 'failures' },
      });
    case 'reverting':
      return (fact) => ({
        subject: SUBJECTS.rolloutHalted,
        data: { ...fact, message, because: because === 'person' ? 'person' : 'failures' },
      });
    case 'completed':
      return (fact) => ({ subject: SUBJECTS.rolloutCompleted, data: { ...fact, message } });
    case 'reverted':
      return (fact) => ({ subject: SUBJECTS.rolloutReverted, data: { ...fact, message } });
    // An abort is announced when no update of the rollout is in progress any more.
    default:
      return undefined;
  }
}
