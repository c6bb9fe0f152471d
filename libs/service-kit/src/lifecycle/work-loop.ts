/**
 * One piece of work that is done again and again: when something may have changed (`kick`), from time to time, and soon
 * after it failed.
 *
 * INVARIANTS
 * 1. Two passes never run at once.
 * 2. No kick is lost: unless the loop is stopped, a pass begins after every kick. All kicks before and during one pass
 *    cause one more pass.
 * 3. A pass never begins within `kick` or `start`: the caller's own synchronous work comes first.
 * 4. Nothing runs before `start`; the first pass comes with it, or after the pause it was given, and covers the earlier
 *    kicks.
 * 5. An idle loop with a period begins a pass no later than one period after the last one ended; with none it waits for
 *    kicks.
 * 6. A pass that fails is reported through `failed` and repeated after a pause that grows with the failures in a row. A
 *    kick during the pause ends it; a kick during the failed pass makes it the shortest one, not none, so that failures
 *    cannot spin.
 * 7. After `stop` no pass begins. `stop` resolves when the pass in progress has ended, and never rejects.
 * 8. A pass runs in the asynchronous context that made the loop, not in the one of a kick: its log lines carry no other
 *    message's ids.
 */
import { AsyncResource } from 'node:async_hooks';

export interface Timers {
  /** @returns what cancels the call */
  after(milliseconds: number, call: () => void): () => void;
}

/** Injection token of the {@link Timers}; services provide none, and get those of the system. */
export const TIMERS = Symbol('timers');

/** `again`: there is more to do. `afterMs`: a pass is due at that time, even if no kick comes. */
export type NextPass = 'again' | { readonly afterMs: number };

export interface WorkLoopOptions {
  /** May end early when {@link WorkLoop.isStopping} is set. */
  readonly pass: () => Promise<NextPass | void>;
  /** @param retryMs until the next pass */
  readonly failed: (error: unknown, retryMs: number) => void;
  /** Time from the end of one pass to the next one without a kick. Absent: kicks alone cause passes. */
  readonly periodMs?: number;
  /** Pause after a failed pass, in ms. Default: 250 ms, doubled with every failure in a row up to 5 s. */
  readonly retryMs?: (failuresInRow: number) => number;
  readonly timers?: Timers | undefined;
}

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
/** Longest delay that a timer of Node.js takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const SYSTEM_TIMERS: Timers = {
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
};

export class WorkLoop {
  private started = false;
  private stopping = false;
  /** A pass is due that has not begun. */
  private wanted = false;
  private running: Promise<void> | undefined;
  private cancelTimer: (() => void) | undefined;
  private failuresInRow = 0;

  private readonly run: () => Promise<void>;

  constructor(private readonly options: WorkLoopOptions) {
    this.run = AsyncResource.bind(() => this.runPasses());
  }

  get isStopping(): boolean {
    return this.stopping;
  }

  /** A pass runs or is about to. */
  get isBusy(): boolean {
    return this.running !== undefined;
  }

  /** @param firstPassAfterMs Default: at once */
  start(firstPassAfterMs = 0): void {
    if (this.started || this.stopping) return;
    this.started = true;
    if (this.wanted || firstPassAfterMs <= 0) this.kick();
    else this.pause(firstPassAfterMs);
  }

  /** Something may have changed: a pass begins after this call. */
  kick(): void {
    if (this.stopping) return;
    this.wanted = true;
    if (!this.started || this.running) return;
    this.cancelTimer?.();
    this.running = this.run();
  }

  stop(): Promise<void> {
    this.stopping = true;
    this.cancelTimer?.();
    return this.running ?? Promise.resolve();
  }

  /** Does what is left in one more pass, unless the pass in progress fails, and stops. */
  async finish(): Promise<void> {
    this.kick();
    await this.running;
    await this.stop();
  }

  private async runPasses(): Promise<void> {
    await Promise.resolve();
    let pauseMs: number | undefined = 0;
    while (!this.stopping && pauseMs === 0) {
      this.wanted = false;
      const ended = await this.pass();
      pauseMs = this.wanted && !ended.hasFailed ? 0 : ended.pauseMs;
    }
    // In the same turn as the last read of `wanted`: a kick that comes later finds no run in progress and begins one.
    this.running = undefined;
    if (this.stopping || pauseMs === undefined) return;
    this.pause(pauseMs);
  }

  private pause(milliseconds: number): void {
    const { timers = SYSTEM_TIMERS } = this.options;
    this.cancelTimer = timers.after(Math.min(milliseconds, LONGEST_TIMER_MS), () => this.kick());
  }

  /** @returns the pause before the next pass, in ms; undefined: until the next kick */
  private async pass(): Promise<{ readonly hasFailed: boolean; readonly pauseMs: number | undefined }> {
    const { pass, failed, periodMs, retryMs = defaultRetryMs } = this.options;
    try {
      const next = await pass();
      this.failuresInRow = 0;
      return { hasFailed: false, pauseMs: pauseBefore(next ?? undefined, periodMs) };
    } catch (error) {
      this.failuresInRow++;
      const pauseMs = Math.max(1, retryMs(this.wanted ? 1 : this.failuresInRow));
      failed(error, pauseMs);
      return { hasFailed: true, pauseMs };
    }
  }
}

function pauseBefore(next: NextPass | undefined, periodMs: number | undefined): number | undefined {
  if (next === 'again') return 0;
  if (next === undefined) return periodMs;
  // At least 1 ms: work that is always due leaves a turn of the event loop to others.
  return Math.max(1, Math.min(next.afterMs, periodMs ?? Infinity));
}

function defaultRetryMs(failuresInRow: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** (failuresInRow - 1), LONGEST_RETRY_MS);
}
