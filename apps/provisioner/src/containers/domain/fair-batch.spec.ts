import { expect, it } from '@jest/globals';
import { takeFairly } from './fair-batch.js';

const tenantOf = (text: string): string => text[0] ?? '';

it.each([
  { queue: 'a1 a2', most: 4, taken: 'a1 a2', left: '' },
  { queue: 'a1 a2 a3 a4 b1', most: 3, taken: 'a1 b1 a2', left: 'a3 a4' },
  { queue: 'a1 a2 b1 b2 c1', most: 4, taken: 'a1 b1 c1 a2', left: 'b2' },
  { queue: 'a1 a2 a3 b1 a4 b2', most: 5, taken: 'a1 b1 a2 b2 a3', left: 'a4' },
])('of $queue takes $taken', ({ queue, most, taken, left }) => {
  const waiting = queue.split(' ');
  expect(takeFairly(waiting, most, tenantOf).join(' ')).toBe(taken);
  expect(waiting.join(' ')).toBe(left);
});
