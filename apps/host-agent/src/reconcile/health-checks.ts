/**
 * Runs the health checks of all containers of this host, a bounded number at once, for as long as the containers run.
 */
import type { Logger } from '@plinth/service-kit';
import type { HostClock } from '../adapters/host-clock.js';
import type { HealthCheckRun, OciContainers } from '../adapters/oci-containers.js';
import { firstDelayMs, nextDelayMs, nextStretch, placeInInterval } from '../domain/check-schedule.js';
import { FairQueue } from '../domain/fair-queue.js';
import {
  afterCheck,
  type CheckResult,
  checkTarget,
  type CheckTarget,
  healthOf,
  inStartPeriod,
} from '../domain/health.js';
import type { Health } from '../domain/local-record.js';
import { isTrying } from '../domain/trial.js';
import type { ContainerState } from './container-state.js';
import { checkedContainers, checkLagSeconds, checkSeconds, checksRun, intervalStretch } from './health-metrics.js';

/** A check that takes longer waits for something and does not load the host: another may begin. */
const BEGIN_MS = 100;
/** Checks in progress at once: one that hangs takes memory until its timeout. */
const MOST_UNDER_WAY = 64;
const LOAD_PERIOD_MS = 5_000;

/** The checks of one run of a container. */
interface Watch {
  readonly state: ContainerState;
  readonly target: CheckTarget;
  readonly wake: () => void;
  readonly run: HealthCheckRun;
  readonly ended: AbortController;
  timer: NodeJS.Timeout | undefined;
}

export class HealthChecks {
  private readonly watches = new Map<string, Watch>();
  private readonly beginnings: FairQueue;
  private readonly underWay = new FairQueue(MOST_UNDER_WAY);
  private readonly running = new Set<Promise<void>>();
  private readonly loadTimer: NodeJS.Timeout;
  private stretch = 1;
  /** Milliseconds in which places were taken since the last measurement. */
  private busyMs = 0;
  private measuredAtMs = performance.now();

  /** @param places checks that are begun at the same time */
  constructor(
    private readonly containers: OciContainers,
    private readonly clock: HostClock,
    private readonly places: number,
    private readonly logger: Logger,
  ) {
    this.beginnings = new FairQueue(places);
    this.loadTimer = setInterval(() => this.measureLoad(), LOAD_PERIOD_MS).unref();
  }

  /**
   * Begins, continues or ends the checks of a container according to its state.
   * @param wake called when a check has changed `state.health`
   */
  follow(state: ContainerState, wake: () => void): void {
    const target = checkTarget(state.effective, state.record, state.observed, isTrying(state.config, state.record));
    const watch = this.watches.get(state.id);
    if (watch && target && watch.state === state && isSame(watch.target, target)) return;
    this.leave(state.id);
    if (!target) return;
    const next: Watch = {
      state,
      target,
      wake,
      run: this.containers.healthCheck(state.id, target.check),
      ended: new AbortController(),
      timer: undefined,
    };
    this.watches.set(state.id, next);
    checkedContainers.set(this.watches.size);
    const { urgent, check, startedAtMs } = target;
    const ageMs = this.clock.now() - startedAtMs;
    this.plan(next, firstDelayMs(placeInInterval(state.id), check.intervalSeconds * 1000, ageMs, urgent));
  }

  /** Ends the checks of a container, including one in progress. */
  leave(id: string): void {
    const watch = this.watches.get(id);
    if (!watch) return;
    clearTimeout(watch.timer);
    watch.ended.abort();
    this.watches.delete(id);
    checkedContainers.set(this.watches.size);
  }

  /** Resolves when no check is left. */
  async close(): Promise<void> {
    clearInterval(this.loadTimer);
    for (const id of [...this.watches.keys()]) this.leave(id);
    await Promise.all(this.running);
  }

  private plan(watch: Watch, delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    watch.timer = setTimeout(() => {
      const check = this.check(watch, dueMs).finally(() => this.running.delete(check));
      this.running.add(check);
    }, delayMs);
  }

  private async check(watch: Watch, dueMs: number): Promise<void> {
    const { state, target, ended } = watch;
    const result = await this.inTurn(watch, dueMs);
    if (ended.signal.aborted) return;
    const nowMs = this.clock.now();
    const before = present(state, target.run);
    if (result && before) {
      const after = afterCheck(before, target.check, result, target.startedAtMs, nowMs);
      if (after !== before) {
        state.health = after;
        watch.wake();
      }
    }
    const early =
      before !== undefined &&
      inStartPeriod(present(state, target.run) ?? before, target.check, target.startedAtMs, nowMs);
    this.plan(watch, nextDelayMs(target.check.intervalSeconds * 1000, this.stretch, early, target.urgent));
  }

  private async inTurn(watch: Watch, dueMs: number): Promise<CheckResult | undefined> {
    const { tenant } = watch.state.config;
    await this.underWay.acquire(tenant);
    await this.beginnings.acquire(tenant);
    const begunMs = performance.now();
    const release = once(() => {
      this.busyMs += performance.now() - begunMs;
      this.beginnings.release();
    });
    const early = setTimeout(release, BEGIN_MS);
    try {
      if (watch.ended.signal.aborted) return undefined;
      checkLagSeconds.observe((begunMs - dueMs) / 1000);
      const result = await watch.run(watch.ended.signal);
      checkSeconds.observe((performance.now() - begunMs) / 1000);
      checksRun.inc({ result: result === undefined ? 'interrupted' : result.healthy ? 'succeeded' : 'failed' });
      return result;
    } catch (error) {
      // This error is not a result of the check.
      checksRun.inc({ result: 'error' });
      this.logger.error(
        { err: error, containerId: watch.state.id },
        'health check could not be run; it is tried again at the next interval',
      );
      return undefined;
    } finally {
      clearTimeout(early);
      release();
      this.underWay.release();
    }
  }

  private measureLoad(): void {
    const now = performance.now();
    const busy = this.busyMs / ((now - this.measuredAtMs) * this.places);
    [this.busyMs, this.measuredAtMs] = [0, now];
    const before = this.stretch;
    this.stretch = nextStretch(before, busy);
    intervalStretch.set(this.stretch);
    if (before === 1 && this.stretch > 1)
      this.logger.warn(
        { containers: this.watches.size, busy: Number(busy.toFixed(2)) },
        'this host can not keep up with the health checks of its containers: their intervals get longer; ' +
          'see the metric plinth_health_interval_stretch',
      );
    if (before > 1 && this.stretch === 1) this.logger.info('health checks are run at their own intervals again');
  }
}

/** The health according to the checks, else that of the record. */
function present(state: ContainerState, run: number): Health | undefined {
  if (state.health?.run === run) return state.health;
  const recorded = healthOf(state.record);
  return recorded?.run === run ? recorded : undefined;
}

function isSame(one: CheckTarget, other: CheckTarget): boolean {
  return (
    one.run === other.run && one.urgent === other.urgent && JSON.stringify(one.check) === JSON.stringify(other.check)
  );
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
