import { describe, expect, it } from '@jest/globals';
import type { PubAck } from 'nats';
import { Journal } from './journal.js';
import { Random } from './random.js';
import { Workload } from './workload.js';

const ACK: PubAck = { stream: 'EVENTS', seq: 1, duplicate: false, domain: '' };

/** A workload on a bus that accepts everything after so many refusals. */
function workload(random: Random, refusals = 0): { readonly made: Workload; readonly published: string[] } {
  const published: string[] = [];
  const bus = {
    publish: (_subject: string, body?: unknown) => {
      published.push(String(body));
      return published.length <= refusals ? Promise.reject(new Error('TIMEOUT')) : Promise.resolve(ACK);
    },
  };
  const stack = { plinth: () => Promise.reject(new Error('no tool here')), jetstream: () => bus };
  return { made: new Workload(stack, random, 'chaos', ['a@v1', 'b@v1'], 'hang@v1', new Journal()), published };
}

describe('a workload', () => {
  it.each([1, 2, 3, 4])('draws the same after a late request as before it is sent (seed %i)', async (seed) => {
    const [early, afterwards] = [new Random(seed), new Random(seed)];
    const before = workload(early);
    before.made.late(1);
    const drawn = early.between(0, 1_000_000);
    await before.made.settled();
    const after = workload(afterwards);
    after.made.late(1);
    await after.made.settled();
    expect(afterwards.between(0, 1_000_000)).toBe(drawn);
    expect(after.published).toEqual(before.published);
  });

  it('counts one request, however many tries it takes until the bus acknowledges it', async () => {
    const { made, published } = workload(new Random(1), 2);
    await made.act();
    expect(published).toHaveLength(3);
    expect(new Set(published).size).toBe(1);
    expect(made.sent).toHaveLength(1);
  });
});
