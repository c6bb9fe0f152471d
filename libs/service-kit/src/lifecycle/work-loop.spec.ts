import { AsyncLocalStorage } from 'node:async_hooks';
import fc from 'fast-check';
import { type NextPass, type Timers, WorkLoop, type WorkLoopOptions } from './work-loop.js';

class ManualTimers implements Timers {
  private nowMs = 0;
  private readonly pending = new Set<{ readonly atMs: number; readonly call: () => void }>();

  after(milliseconds: number, call: () => void): () => void {
    const entry = { atMs: this.nowMs + milliseconds, call };
    this.pending.add(entry);
    return () => this.pending.delete(entry);
  }

  get delays(): number[] {
    return [...this.pending].map(({ atMs }) => atMs - this.nowMs);
  }

  advance(milliseconds: number): void {
    this.nowMs += milliseconds;
    for (const entry of this.pending) {
      if (entry.atMs > this.nowMs) continue;
      this.pending.delete(entry);
      entry.call();
    }
  }
}

/** Every promise that can settle without time passing has settled. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A loop whose passes end when the test ends them. */
class Bench {
  readonly timers = new ManualTimers();
  readonly failures: { readonly message: string; readonly retryMs: number }[] = [];
  readonly loop: WorkLoop;
  begun = 0;
  atOnce = 0;
  mostAtOnce = 0;
  onBegin: () => void = () => undefined;
  private ends: { resolve: (next: NextPass | void) => void; reject: (error: Error) => void } | undefined;

  constructor(options: Partial<WorkLoopOptions> = {}) {
    this.loop = new WorkLoop({
      pass: () => this.pass(),
      failed: (error, retryMs) => this.failures.push({ message: (error as Error).message, retryMs }),
      timers: this.timers,
      ...options,
    });
  }

  async end(next?: NextPass): Promise<void> {
    await settled();
    this.ends?.resolve(next);
    await settled();
  }

  async fail(message = 'no'): Promise<void> {
    await settled();
    this.ends?.reject(new Error(message));
    await settled();
  }

  private async pass(): Promise<NextPass | void> {
    this.begun++;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    this.onBegin();
    try {
      return await new Promise((resolve, reject) => (this.ends = { resolve, reject }));
    } finally {
      this.atOnce--;
      this.ends = undefined;
    }
  }
}

function started(options: Partial<WorkLoopOptions> = {}): Bench {
  const bench = new Bench(options);
  bench.loop.start();
  return bench;
}

describe('work loop', () => {
  it('runs nothing before its start, and covers the kicks before it with one pass', async () => {
    const bench = new Bench();
    bench.loop.kick();
    bench.loop.kick();
    await settled();
    expect(bench.begun).toBe(0);
    bench.loop.start();
    await bench.end();
    expect(bench.begun).toBe(1);
  });

  it('never begins a pass within the call of kick', async () => {
    const bench = started();
    expect([bench.begun, bench.loop.isBusy]).toEqual([0, true]);
    await bench.end();
    bench.loop.kick();
    expect([bench.begun, bench.loop.isBusy]).toEqual([1, true]);
    await bench.end();
    expect([bench.begun, bench.loop.isBusy]).toEqual([2, false]);
  });

  it('answers all kicks during a pass with one more pass', async () => {
    const bench = started();
    await settled();
    for (let kicks = 0; kicks < 5; kicks++) bench.loop.kick();
    await bench.end();
    expect(bench.begun).toBe(2);
    await bench.end();
    expect(bench.begun).toBe(2);
  });

  it('keeps a kick that the pass makes itself, before its first await', async () => {
    const bench = new Bench();
    bench.onBegin = () => bench.begun === 1 && bench.loop.kick();
    bench.loop.start();
    await bench.end();
    await bench.end();
    expect([bench.begun, bench.mostAtOnce]).toEqual([2, 1]);
  });

  it('does not lose a kick in any turn around the end of a pass', async () => {
    for (let turns = 0; turns < 12; turns++) {
      let begun = 0;
      const loop = new WorkLoop({ pass: () => Promise.resolve(void begun++), failed: () => undefined });
      loop.start();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const before = begun;
      loop.kick();
      await settled();
      expect({ turns, more: begun > before }).toEqual({ turns, more: true });
      await loop.stop();
    }
  });

  it('goes on at once while a pass reports that there is more', async () => {
    const bench = started();
    await bench.end('again');
    await bench.end('again');
    await bench.end();
    expect([bench.begun, bench.timers.delays]).toEqual([3, []]);
  });

  it('begins a pass one period after the last one ended, and waits for kicks when it has no period', async () => {
    const bench = started({ periodMs: 1_000 });
    await settled();
    bench.timers.advance(5_000);
    await bench.end();
    expect(bench.timers.delays).toEqual([1_000]);
    bench.timers.advance(999);
    await settled();
    expect(bench.begun).toBe(1);
    bench.timers.advance(1);
    await settled();
    expect(bench.begun).toBe(2);
    const idle = started();
    await idle.end();
    expect(idle.timers.delays).toEqual([]);
  });

  it.each([
    { afterMs: 300, periodMs: 1_000, waits: 300 },
    { afterMs: 3_000, periodMs: 1_000, waits: 1_000 },
    { afterMs: 3_000, periodMs: undefined, waits: 3_000 },
    { afterMs: -5, periodMs: undefined, waits: 1 },
    { afterMs: Infinity, periodMs: undefined, waits: 2 ** 31 - 1 },
  ])('waits $waits ms when the next pass is due after $afterMs ms and the period is $periodMs', async (row) => {
    const bench = started({ periodMs: row.periodMs });
    await bench.end({ afterMs: row.afterMs });
    expect(bench.timers.delays).toEqual([row.waits]);
  });

  it('ends a pause with a kick, and leaves no timer of it', async () => {
    const bench = started({ periodMs: 1_000 });
    await bench.end();
    bench.loop.kick();
    await settled();
    expect([bench.begun, bench.timers.delays]).toEqual([2, []]);
  });

  it('reports a failed pass and repeats it after pauses that double up to 5 s, until a success', async () => {
    const bench = started({ periodMs: 60_000 });
    for (let failures = 0; failures < 7; failures++) {
      await bench.fail(`no ${failures}`);
      bench.timers.advance(bench.timers.delays[0] ?? NaN);
    }
    expect(bench.failures.map(({ retryMs }) => retryMs)).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect(bench.failures[1]?.message).toBe('no 1');
    await bench.end('again');
    await bench.fail();
    expect(bench.failures.at(-1)?.retryMs).toBe(250);
  });

  it('takes a pass that throws before it returns a promise as a failed one', async () => {
    const bench = started({
      pass: () => {
        throw new Error('at once');
      },
    });
    await settled();
    expect(bench.failures).toEqual([{ message: 'at once', retryMs: 250 }]);
  });

  it('makes the shortest pause after a failing pass with a kick; a kick during the pause ends it', async () => {
    const bench = started();
    for (let failures = 0; failures < 3; failures++) {
      await bench.fail();
      bench.timers.advance(5_000);
    }
    await settled();
    bench.loop.kick();
    await bench.fail();
    expect([bench.begun, bench.timers.delays]).toEqual([4, [250]]);
    bench.loop.kick();
    await settled();
    expect([bench.begun, bench.timers.delays]).toEqual([5, []]);
  });

  it('runs its passes in the context that made it, whichever context kicks it', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const timers = new ManualTimers();
    const loop = context.run(
      'maker',
      () =>
        new WorkLoop({
          pass: () => Promise.resolve(void seen.push(context.getStore())),
          failed: () => undefined,
          periodMs: 1_000,
          timers,
        }),
    );
    context.run('starter', () => loop.start());
    await settled();
    context.run('message', () => loop.kick());
    await settled();
    context.run('timer', () => timers.advance(1_000));
    await settled();
    expect(seen).toEqual(['maker', 'maker', 'maker']);
  });

  it('delays its first pass when it is asked to, unless it was kicked', async () => {
    const bench = new Bench();
    bench.loop.start(5_000);
    await settled();
    expect([bench.begun, bench.timers.delays]).toEqual([0, [5_000]]);
    bench.loop.kick();
    await settled();
    expect([bench.begun, bench.timers.delays]).toEqual([1, []]);
    const kicked = new Bench();
    kicked.loop.kick();
    kicked.loop.start(5_000);
    await settled();
    expect(kicked.begun).toBe(1);
  });

  it('waits at its stop for the pass in progress, and begins none afterwards', async () => {
    const bench = started({ periodMs: 1_000 });
    await settled();
    bench.loop.kick();
    let hasStopped = false;
    const stopping = bench.loop.stop().then(() => (hasStopped = true));
    await settled();
    expect([hasStopped, bench.loop.isStopping]).toEqual([false, true]);
    await bench.end('again');
    await stopping;
    bench.loop.kick();
    bench.loop.start();
    bench.timers.advance(10_000);
    await settled();
    expect([bench.begun, bench.timers.delays]).toEqual([1, []]);
  });

  it('stops during a pass that fails, during a pause, before its start, and between a kick and its pass', async () => {
    const failing = started();
    await settled();
    const stopped = failing.loop.stop();
    await failing.fail();
    await stopped;
    expect([failing.failures.length, failing.timers.delays]).toEqual([1, []]);
    const pausing = started({ periodMs: 1_000 });
    await pausing.end();
    await pausing.loop.stop();
    expect(pausing.timers.delays).toEqual([]);
    const fresh = new Bench();
    await fresh.loop.stop();
    fresh.loop.start();
    const kicked = started();
    await kicked.loop.stop();
    await settled();
    expect([fresh.begun, kicked.begun]).toEqual([0, 0]);
  });

  it('finishes with one more pass after the one in progress, unless that fails', async () => {
    const bench = started();
    await settled();
    const finished = bench.loop.finish();
    await bench.end();
    await bench.end();
    await finished;
    expect([bench.begun, bench.loop.isStopping]).toEqual([2, true]);
    const failing = started();
    await settled();
    const ended = failing.loop.finish();
    await failing.fail();
    await ended;
    expect([failing.begun, failing.timers.delays]).toEqual([1, []]);
  });

  it('holds its invariants under any order of kicks, ends, failures, time and stop', async () => {
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.constant('kick' as const) },
      { weight: 2, arbitrary: fc.constantFrom('end', 'again', 'later', 'fail') },
      { weight: 1, arbitrary: fc.constantFrom('time', 'turn', 'own-kick') },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), fc.boolean(), async (events, isPeriodic) => {
        const bench = started(isPeriodic ? { periodMs: 1_000 } : {});
        let owes = false;
        bench.onBegin = () => {
          owes = false;
        };
        for (const what of events) {
          if (what === 'kick') {
            owes = true;
            bench.loop.kick();
          } else if (what === 'own-kick')
            bench.onBegin = () => {
              bench.loop.kick();
              owes = true;
              bench.onBegin = () => (owes = false);
            };
          else if (what === 'turn') await Promise.resolve();
          else if (what === 'time') bench.timers.advance(700);
          else if (what === 'fail') await bench.fail();
          else if (what === 'end') await bench.end();
          else await bench.end(what === 'again' ? 'again' : { afterMs: 400 });
          // A pass that is due is either about to begin or comes after the pause of a failure.
          expect(!owes || bench.loop.isBusy || bench.timers.delays.length === 1).toBe(true);
          expect(bench.timers.delays.length).toBeLessThanOrEqual(1);
        }
        for (let passes = 0; passes < 4 && (owes || bench.loop.isBusy); passes++) {
          bench.timers.advance(5_000);
          await bench.end();
        }
        expect([owes, bench.mostAtOnce]).toEqual([false, 1]);
        const stopped = bench.loop.stop();
        await bench.end();
        await stopped;
        const { begun } = bench;
        bench.loop.kick();
        bench.timers.advance(60_000);
        await settled();
        expect(bench.begun).toBe(begun);
      }),
      { numRuns: 300 },
    );
  });
});
