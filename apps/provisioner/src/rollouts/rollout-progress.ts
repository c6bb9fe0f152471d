/** Moves rollouts on: locks one, plans its next steps, writes them; several provisioners may do so at once. */
import { Inject, Injectable, Optional } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { SUBJECTS } from '@plinth/contracts';
import { type Logger, LOGGER, Outbox, TIMERS, type Timers, type UnitOfWork, WorkLoop } from '@plinth/service-kit';
import type { DataSource } from 'typeorm';
import type { RolloutStep, RolloutView } from './domain/rollout-view.js';
import { planRollout } from './domain/rollout-plan.js';
import { assignBatch, settleMembers } from './member.store.js';
import { announceRollout, type RolloutAnnouncement } from './rollout-announcement.js';
import { RolloutSwitch } from './rollout-switch.js';
import { loadRolloutView } from './rollout-view.store.js';
import {
  activeRollouts,
  changeOf,
  lockBudgets,
  lockRollout,
  type RolloutChange,
  type RolloutRow,
  saveRollout,
} from './rollout.store.js';

type StepOf<K extends RolloutStep['kind']> = Extract<RolloutStep, { kind: K }>;

const PERIOD_MS = 1_000;
/** Decisions in a row for one rollout; the next pass comes soon. */
const MOST_DECISIONS = 50;

@Injectable()
export class RolloutProgress {
  private readonly loop: WorkLoop;
  /** By rollout: when it was last looked for what time has settled. */
  private readonly lookedAt = new Map<string, number>();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(Outbox) private readonly outbox: Outbox,
    @Inject(RolloutSwitch) private readonly switching: RolloutSwitch,
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
    const active = await activeRollouts(this.source.manager);
    for (const id of this.lookedAt.keys()) if (!active.includes(id)) this.lookedAt.delete(id);
    for (const id of active) {
      for (let decisions = 0; decisions < MOST_DECISIONS && !this.loop.isStopping; decisions++)
        if (!(await this.advance(id))) break;
    }
  }

  /** What time alone settles is looked for now and then, not with every verdict of a host: all in progress are read. */
  private isDue(id: string): boolean {
    const now = performance.now();
    if (now - (this.lookedAt.get(id) ?? Number.NEGATIVE_INFINITY) < PERIOD_MS * 0.9) return false;
    this.lookedAt.set(id, now);
    return true;
  }

  /** Makes one decision, written whole or not at all. @returns whether the next one may follow at once */
  private advance(id: string): Promise<boolean> {
    return this.outbox.work({ correlationId: id }, async (turn) => {
      const row = await lockRollout(turn.db, id);
      if (!row || row.ended_at !== null) return false;
      const unit = turn.causedBy({ correlationId: row.correlation_id, causationId: row.request_id });
      if (row.state === 'rolling' || row.state === 'reverting') await lockBudgets(unit.db);
      const view = await loadRolloutView(unit.db, row, this.isDue(id));
      const { steps, wait } = planRollout(view, row.now.getTime());
      const waits = JSON.stringify(wait) !== JSON.stringify(row.wait);
      if (steps.length === 0 && !waits) return false;
      let change: RolloutChange = { ...changeOf(row), wait };
      const announcements: RolloutAnnouncement[] = [];
      await this.take(unit, row, steps);
      for (const step of steps) {
        this.logger.debug({ rolloutId: id, step }, 'rollout step');
        if (step.kind === 'become')
          this.logger.info({ rolloutId: id, from: view.state, ...step }, 'rollout changes state');
        const announcement = announcementOf(step);
        if (announcement) announcements.push(announcement);
        change = afterStep(change, step, view);
      }
      const saved = await saveRollout(unit.db, id, change);
      await announceRollout(unit, saved, announcements);
      return steps.length > 0;
    });
  }

  /** Steps of one kind are taken together. */
  private async take(unit: UnitOfWork, row: RolloutRow, steps: readonly RolloutStep[]): Promise<void> {
    const of = <K extends RolloutStep['kind']>(kind: K): readonly StepOf<K>[] =>
      steps.filter((step): step is StepOf<K> => step.kind === kind);
    const assigned = of('assign');
    for (const batch of new Set(assigned.map((step) => step.batch))) {
      const ordinals = assigned.flatMap((step) => (step.batch === batch ? [step.ordinal] : []));
      await assignBatch(unit.db, row.id, ordinals, batch);
    }
    await settleMembers(unit.db, row.id, of('settle'));
    const switches = of('switch');
    if (switches.length > 0) await this.switching.switch(unit, row, switches);
    const restores = of('restore');
    if (restores.length > 0) await this.switching.restore(unit, row, restores);
  }
}

/** What is announced of a step; undefined: it is announced with its container, or not at all. */
function announcementOf(step: RolloutStep): RolloutAnnouncement | undefined {
  switch (step.kind) {
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
      return announcementOfState(step);
    case 'end':
      return (fact) => ({ subject: SUBJECTS.rolloutAborted, data: { ...fact, message: step.message } });
    default:
      return undefined;
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
