import { describe, expect, it } from '@jest/globals';
import type { Logger } from '@plinth/service-kit';
import type { Request } from './intake.store.js';
import { BATCH, IN_PROGRESS, RequestIntake } from './request-intake.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let done = 0; done < count; done++) await turn();
};

/** A table and decisions that take as long as the test sets. */
class Table {
  readonly decided: string[] = [];
  readonly table: string[] = [];
  readonly warnings: string[] = [];
  /** Sizes of the batches that were never in the table. */
  readonly batches: number[] = [];
  atOnce = 0;
  mostAtOnce = 0;
  isAway = false;
  private held: (() => void)[] = [];
  /** Decisions end by themselves. */
  isQuick = true;

  readonly intake = new RequestIntake(
    {
      decide: async (events) => {
        this.batches.push(events.length);
        await this.during(() => void this.decided.push(...events.map(({ id }) => id)));
        return events.map(({ id }) => (id === 'fails' ? { ok: false, error: new Error('fails') } : { ok: true }));
      },
      put: async (events) => {
        await turn();
        if (this.isAway) throw new Error('the database is away');
        this.table.push(...events.map(({ id }) => id));
      },
      isAnyWaiting: () => (this.isAway ? Promise.reject(new Error('away')) : Promise.resolve(this.table.length > 0)),
      decideNext: async () => {
        if (this.isAway) throw new Error('the database is away');
        const id = this.table.shift();
        if (id === undefined) return false;
        await this.during(() => void this.decided.push(id));
        return true;
      },
    },
    {
      warn: (_: object, message: string) => void this.warnings.push(message),
      error: () => undefined,
    } as unknown as Logger,
  );

  /** An intake that was started with an empty table. */
  async started(): Promise<this> {
    this.intake.start();
    await turns(3);
    return this;
  }

  take(...ids: readonly string[]): Promise<void>[] {
    return ids.map((id) => this.intake.take({ id, data: { name: id } } as Request));
  }

  /** Lets decisions in progress end. */
  release(): void {
    this.isQuick = true;
    for (const end of this.held.splice(0)) end();
  }

  private async during(work: () => void): Promise<void> {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    if (!this.isQuick) await new Promise<void>((resolve) => this.held.push(resolve));
    await turn();
    work();
    this.atOnce--;
  }
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

describe('request intake', () => {
  it('decides what is there, past the table: the first at once, and together what came meanwhile', async () => {
    const table = await new Table().started();
    await Promise.all(table.take(...names('a', 16)));
    expect(table.decided).toEqual(names('a', 16));
    expect([table.batches, table.mostAtOnce, table.table]).toEqual([[1, 1, 14], 2, []]);
    await table.intake.stop();
  });

  it('rejects only the request of a batch that failed', async () => {
    const table = await new Table().started();
    table.isQuick = false;
    const before = table.take('x', 'y');
    const taken = table.take('a', 'fails', 'b');
    table.release();
    const results = await Promise.allSettled([...before, ...taken]);
    expect(table.batches).toEqual([1, 1, 3]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    await table.intake.stop();
  });

  it('takes the next batch in turn over the tenants', async () => {
    const table = await new Table().started();
    table.isQuick = false;
    const taken = table.take('x', 'y', ...names('many', 2 * BATCH));
    taken.push(table.intake.take({ id: 'single', data: { tenant: 'other' } } as Request));
    table.release();
    await Promise.all(taken);
    expect(table.decided.indexOf('single')).toBeLessThan(2 + BATCH);
    await table.intake.stop();
  });

  it('puts all that waits into the table when too many arrive, and then decides it', async () => {
    const table = await new Table().started();
    table.isQuick = false;
    const first = table.take('a', 'b');
    const burst = names('c', IN_PROGRESS / 2 + 1);
    await Promise.all(table.take(...burst));
    expect(table.decided).toEqual([]);
    table.release();
    await Promise.all(first);
    await turns(3 * burst.length);
    expect(table.decided.toSorted()).toEqual(['a', 'b', ...burst].toSorted());
    expect(table.mostAtOnce).toBeLessThanOrEqual(4);
    await table.intake.stop();
  });

  it('keeps the order behind what waits already: nothing overtakes the table', async () => {
    const table = new Table();
    table.table.push(...names('old', 20));
    table.isQuick = false;
    table.intake.start();
    await turns(3);
    await Promise.all(table.take('new'));
    expect(table.decided).toEqual([]);
    table.release();
    await turns(50);
    expect(table.decided).toEqual([...names('old', 20), 'new']);
    await table.intake.stop();
  });

  it('decides directly again as soon as nothing waits', async () => {
    const table = new Table();
    table.table.push('old');
    table.intake.start();
    await turns(10);
    await Promise.all(table.take('new'));
    expect([table.decided, table.table]).toEqual([['old', 'new'], []]);
    await table.intake.stop();
  });

  it('carries out the first of two requests under one id before it takes the second', async () => {
    const table = await new Table().started();
    table.isQuick = false;
    const both = table.take('same', 'same');
    await turns(3);
    expect(table.atOnce).toBe(1);
    table.release();
    await Promise.all(both);
    expect([table.decided, table.mostAtOnce]).toEqual([['same', 'same'], 1]);
    await table.intake.stop();
  });

  it('rejects what it could not put into the table, so that the bus delivers it again, and continues when the database is back', async () => {
    const table = new Table();
    table.isAway = true;
    table.intake.start();
    await turns(5);
    const results = await Promise.allSettled(table.take(...names('a', 3)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(table.warnings.filter((line) => line.includes('could not be decided'))).toHaveLength(1);
    table.isAway = false;
    await Promise.all(table.take(...names('a', 3)));
    await turns(20);
    expect(table.decided).toEqual(names('a', 3));
    await table.intake.stop();
  });

  it('stops when the decisions in progress have ended, and leaves what waits in the table', async () => {
    const table = await new Table().started();
    table.isQuick = false;
    const first = table.take('a', 'b', 'waits');
    let hasStopped = false;
    const stopped = table.intake.stop().then(() => (hasStopped = true));
    await turns(5);
    // Decisions are in progress.
    expect(hasStopped).toBe(false);
    table.release();
    await Promise.all([stopped, ...first]);
    expect([table.decided, table.table]).toEqual([['a', 'b'], ['waits']]);
  });
});
