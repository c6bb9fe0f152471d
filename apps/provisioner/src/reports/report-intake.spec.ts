/** Reports that arrive together, with a store that is played here. */
import { describe, expect, it } from '@jest/globals';
import type { Logger } from '@plinth/service-kit';
import { EarlyReportError, type Report } from './container-reports.js';
import { BATCH, ReportIntake } from './report-intake.js';

const logger = { warn: () => undefined } as unknown as Logger;

function report(containerId: string, kind = 'started', host = 'h-1'): Report {
  const tokens = ['report', 'host', host, 'container', containerId];
  const data = { containerId, kind, host, sequence: 2, after: 1 };
  return { id: `${host} ${containerId} ${kind}`, tokens, data } as unknown as Report;
}

/** Takes batches when it is let. */
class Store {
  readonly batches: string[][] = [];
  readonly alone: string[] = [];
  readonly bad = new Set<string>();
  readonly early = new Set<string>();
  private waiting: (() => void)[] = [];
  readonly intake = new ReportIntake(
    {
      take: async (events) => {
        this.batches.push(events.map(({ tokens }) => tokens[4] ?? ''));
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        if (events.some(({ tokens }) => this.bad.has(tokens[4] ?? ''))) throw new Error('a statement failed');
        const early = events.filter(({ tokens }) => this.early.has(tokens[4] ?? ''));
        return new Map(early.map((event) => [event, new EarlyReportError(event.data)]));
      },
    },
    {
      take: async ({ tokens }) => {
        this.alone.push(tokens[4] ?? '');
        if (this.bad.has(tokens[4] ?? '')) throw new Error('this one is bad');
      },
    },
    logger,
  );

  async turn(): Promise<void> {
    for (const resolve of this.waiting.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const settled = async (all: readonly Promise<void>[]): Promise<string[]> =>
  (await Promise.allSettled(all)).map(({ status }) => status);

describe('reports', () => {
  it('are taken at once while few come, and together when they come during a transaction', async () => {
    const store = new Store();
    const taken = ['a', 'b', 'c', 'd', 'e'].map((id) => store.intake.take(report(id)));
    expect(store.batches).toEqual([['a'], ['b']]);
    await store.turn();
    expect(store.batches.slice(2)).toEqual([['c', 'd', 'e']]);
    await store.turn();
    expect(await settled(taken)).toEqual(Array.from({ length: 5 }, () => 'fulfilled'));
    expect(store.alone).toEqual([]);
  });

  it('of one container are never in one batch, and a batch is bounded', async () => {
    const store = new Store();
    const many = Array.from({ length: BATCH + 1 }, (_, index) => report(`m-${index}`));
    const events = [report('a'), report('b'), report('c'), report('c', 'started', 'h-2'), ...many];
    const taken = events.map((event) => store.intake.take(event));
    for (let turns = 0; turns < 5; turns++) await store.turn();
    expect(await settled(taken)).toEqual(events.map(() => 'fulfilled'));
    for (const batch of store.batches) {
      expect(new Set(batch).size).toBe(batch.length);
      expect(batch.length).toBeLessThanOrEqual(BATCH);
    }
    expect(store.batches.flat()).toHaveLength(events.length);
  });

  it('of which one is bad are taken one by one: it harms itself only', async () => {
    const store = new Store();
    store.bad.add('d');
    const taken = settled(['a', 'b', 'c', 'd', 'e'].map((id) => store.intake.take(report(id))));
    await store.turn();
    await store.turn();
    expect(await taken).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(store.alone).toEqual(['c', 'd', 'e']);
  });

  it('that came before an earlier one are delivered again, the others of the batch are not', async () => {
    const store = new Store();
    store.early.add('a');
    const taken = settled(['a', 'b'].map((id) => store.intake.take(report(id))));
    await store.turn();
    expect(await taken).toEqual(['rejected', 'fulfilled']);
  });

  it('of a release are taken alone: a host is chosen for the container', async () => {
    const store = new Store();
    await store.intake.take(report('a', 'released'));
    expect([store.alone, store.batches]).toEqual([['a'], []]);
  });
});
