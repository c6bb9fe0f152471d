/** Makes one container match its config: one group of steps at a time, with a new plan after each. */
import { performance } from 'node:perf_hooks';

import { type NextPass, withLogContext, WorkLoop } from '@plinth/service-kit';
import type { FairQueue } from '../domain/fair-queue.js';
import { planAfterCheck, planAfterFailure } from '../domain/failed-start.js';
import { plan, presentState } from '../domain/planner.js';
import type { StartFailure } from '../domain/start-failure.js';
import { runIsOpen } from '../domain/local-record.js';
import { trialReport } from '../domain/trial.js';
import { backoffMs } from '../domain/restart-policy.js';
import { describeStep, type Step } from '../domain/step.js';
import type { ContainerState } from './container-state.js';
import { EXECUTORS, type Executors, type StepOutcome } from './executors.js';
import { starts } from './agent-metrics.js';
import type { AgentServices } from './agent-services.js';

/** Plans in a row: more means that a step does not have the effect that the planner assumes. */
const MOST_PLANS = 25;
/** How long a container that is stopped for a restart keeps its start's place while it ends. */
const HANDOVER_MS = 1_000;

export class ContainerActor {
  private readonly loop: WorkLoop;
  private stale = false;
  private announcementDue = false;
  /** Set while the container holds a place among the starts: releases it, once. */
  private releasePlaces: (() => void) | undefined;

  constructor(
    readonly state: ContainerState,
    private readonly services: AgentServices,
    private readonly executors: Executors = EXECUTORS,
  ) {
    this.loop = new WorkLoop({
      pass: () => {
        const { cause } = this.state.record;
        return withLogContext(
          { correlationId: cause?.correlationId, eventId: cause?.causationId, containerId: this.state.id },
          () => this.converge(),
        );
      },
      retryMs: backoffMs,
      failed: (error) =>
        services.logger.error(
          { err: error, containerId: state.id },
          'container could not be brought to its desired state; it is tried again',
        ),
    });
  }

  get isBusy(): boolean {
    return this.loop.isBusy;
  }

  start(): void {
    this.loop.start();
  }

  /** Called when something may have changed. */
  wake(): void {
    if (this.loop.isStopping) return;
    this.loop.kick();
  }

  /** Called when the observed state may be out of date. */
  observeAgain(): void {
    this.stale = true;
    this.wake();
  }

  /** Reports the present state once more. */
  announce(): void {
    this.announcementDue = true;
    this.wake();
  }

  /** Ends after the step in progress; the container goes on running. */
  async close(): Promise<void> {
    const stopped = this.loop.stop();
    this.services.health.leave(this.state.id);
    await stopped;
    this.releasePlaces?.();
  }

  private async converge(): Promise<NextPass | undefined> {
    let next: NextPass | undefined;
    await this.state.finish();
    for (let plans = 0; !this.loop.isStopping; plans++) {
      if (plans >= MOST_PLANS)
        throw new Error(`no end after ${plans} plans; the last one: ${this.plan().map(describeStep).join(', ')}`);
      if (this.stale) {
        this.stale = false;
        this.state.observed = this.services.containers.observe(this.state.id);
      }
      // Its counters go with what is left of it.
      if (this.state.observed.kind === 'exited') this.services.limits.look(this.state);
      const steps = this.plan();
      if (steps.length === 0) {
        this.releasePlaces?.();
        break;
      }
      const outcome = await this.take(steps);
      if (outcome.kind === 'wait') {
        next = { afterMs: outcome.untilMs - this.services.clock.now() };
        break;
      }
    }
    if (this.announcementDue) await this.announcePresent();
    if (!this.loop.isStopping) await this.services.limits.report(this.state);
    if (!this.loop.isStopping) this.services.health.follow(this.state, () => this.wake());
    return next;
  }

  /** All containers announce themselves at once when the agent starts: its files and its heartbeat must not wait. */
  private async announcePresent(): Promise<void> {
    const { state, services } = this;
    await services.announcements.acquire(state.config.tenant);
    try {
      if (this.loop.isStopping) return;
      this.announcementDue = false;
      const body = presentState(state.effective, state.record, services.clock.now());
      // A report that was never sent has the same content.
      const { config, record } = state;
      const verdict = record.trial?.told === true && config.update ? trialReport(config, record.trial) : undefined;
      if (services.reporter.hasUnsent(state.id)) return;
      for (const report of [body, verdict]) if (report) await state.report(report);
    } finally {
      services.announcements.release();
    }
  }

  /**
   * A start waits for its turn, and so does the stop before it: a container runs until it can be started again. Another
   * config may have arrived by then, so the caller plans again.
   */
  private async take(steps: readonly Step[]): Promise<StepOutcome> {
    const { state } = this;
    const starts = steps.some(({ kind }) => kind === 'start');
    // A container whose image has failed is halted at once.
    const isHandover =
      steps.some(({ kind }) => kind === 'stop') &&
      state.effective.desired === 'running' &&
      state.record.trial?.phase !== 'reverting';
    if (!starts && !isHandover) return this.runOrCheck(steps);
    const begunAtMs = state.arrivedAtMs ?? this.services.clock.now();
    if (starts) state.arrivedAtMs = undefined;
    if (!this.releasePlaces) {
      const { starts: places, handovers } = this.services;
      const queues = isHandover ? [handovers, places] : [places];
      for (const queue of queues) await queue.acquire(state.config.tenant);
      const release = this.hold(queues);
      // Another container may start meanwhile when this one takes longer to end.
      if (isHandover) setTimeout(release, HANDOVER_MS).unref();
      if (isHandover || this.loop.isStopping) return { kind: 'done' };
    }
    return starts ? this.startContainer(begunAtMs) : this.runSteps(steps);
  }

  private hold(queues: readonly FairQueue[]): () => void {
    const release = (): void => {
      if (this.releasePlaces !== release) return;
      this.releasePlaces = undefined;
      for (const queue of queues) queue.release();
    };
    this.releasePlaces = release;
    return release;
  }

  private async startContainer(begunAtMs: number): Promise<StepOutcome> {
    const { state, services } = this;
    try {
      const steps = this.plan();
      if (this.loop.isStopping || !steps.some((step) => step.kind === 'start')) return { kind: 'done' };
      state.preparation = { begunAtMs, begun: performance.now(), image: state.effective.image };
      services.containers.expectStart();
      const outcome = await this.runSteps(steps).catch((error: unknown): StepOutcome => this.unexpected(error));
      starts.inc({ outcome: outcome.kind === 'failed' ? outcome.failure.reason : 'started' });
      if (outcome.kind !== 'failed') return outcome;
      return await this.runSteps(planAfterFailure(this.input(), outcome.failure));
    } finally {
      state.preparation = undefined;
      this.releasePlaces?.();
    }
  }

  private async runOrCheck(steps: readonly Step[]): Promise<StepOutcome> {
    const { config } = this.state;
    const outcome = await this.runSteps(steps);
    if (outcome.kind !== 'checked') return outcome;
    // Another config may have arrived since: its update was not checked.
    return this.runSteps(planAfterCheck({ ...this.input(), config }, outcome.failure));
  }

  private unexpected(error: unknown): StepOutcome {
    this.services.logger.error({ err: error, containerId: this.state.id }, 'start failed unexpectedly');
    // The container may run or be incomplete: the plan that follows deletes what is observed here.
    this.state.observed = this.services.containers.observe(this.state.id);
    const code = (error as NodeJS.ErrnoException).code;
    const reason: StartFailure['reason'] = code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'internal-error';
    return { kind: 'failed', failure: { reason, message: error instanceof Error ? error.message : String(error) } };
  }

  private async runSteps(steps: readonly Step[]): Promise<StepOutcome> {
    for (const step of steps) {
      const outcome = await this.runStep(step);
      if (outcome.kind !== 'done') return outcome;
    }
    return { kind: 'done' };
  }

  private async runStep(step: Step): Promise<StepOutcome> {
    const { state, services } = this;
    // A step that can't be undone waits until the config is safe on disk; preparations of a start do not.
    if (step.kind !== 'create-volume' && step.kind !== 'premount' && step.kind !== 'check-image') await state.saved;
    services.logger.debug(
      { containerId: state.id, generation: state.config.generation, step: describeStep(step) },
      'step',
    );
    const execute = this.executors[step.kind] as (
      step: Step,
      state: ContainerState,
      services: AgentServices,
    ) => Promise<StepOutcome>;
    return execute(step, state, services);
  }

  private plan(): readonly Step[] {
    return plan(this.input());
  }

  private input(): Parameters<typeof plan>[0] {
    const { config: asked, present: config, observed, record, health } = this.state;
    const { endedWithLease, signalledAtMs, missing } = this.state;
    const leaseLost =
      observed.kind !== 'running' &&
      runIsOpen(record) &&
      (endedWithLease === record.starts || (record.leaseTerm !== undefined && !this.holds(record.leaseTerm)));
    const isSignalled = record.stop !== undefined && record.stop.signalledAtMs === signalledAtMs;
    const nowMs = this.services.clock.now();
    return { config, asked, observed, record, nowMs, leaseLost, isSignalled, health, missing };
  }

  private holds(term: string): boolean {
    const lease = this.services.leases.termOn(this.state.config.storageNode);
    return lease.ok && lease.value === term;
  }
}
