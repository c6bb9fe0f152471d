import { expect, it } from '@jest/globals';
import { FairQueue } from './fair-queue.js';

it('gives places to tenants in turn', async () => {
  const queue = new FairQueue(1);
  const order: string[] = [];
  await queue.acquire('first');
  const waiting = ['a', 'a', 'a', 'b', 'c', 'b'].map((tenant, index) =>
    queue.acquire(tenant).then(() => order.push(`${tenant}${index}`)),
  );
  for (let turn = 0; turn < waiting.length; turn++) {
    queue.release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(order).toEqual(['a0', 'b3', 'c4', 'a1', 'b5', 'a2']);
});

it('never has more places taken than there are', async () => {
  const queue = new FairQueue(3);
  let taken = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      await queue.acquire(`tenant-${index % 4}`);
      most = Math.max(most, ++taken);
      await new Promise((resolve) => setImmediate(resolve));
      taken--;
      queue.release();
    }),
  );
  expect(most).toBe(3);
});
