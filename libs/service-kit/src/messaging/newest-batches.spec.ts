/** What waits is replaced by what is newer, and is taken together. */
import { expect, it } from '@jest/globals';
import { NewestBatches } from './newest-batches.js';

interface Message {
  readonly subject: string;
  readonly text: string;
}

/** What waits for the event loop has had its turn, and what that waits for. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

it('takes what waits together, each subject in its turn and with its newest message', async () => {
  const taken: string[] = [];
  const begun: (() => void)[] = [];
  const paused: (() => void)[] = [];
  const newest = new NewestBatches<Message>(
    (messages) => {
      taken.push(messages.map(({ subject, text }) => `${subject}${text}`).join(' '));
      return new Promise((resolve) => begun.push(resolve));
    },
    { most: 3, pause: () => new Promise((resolve) => paused.push(resolve)) },
  );
  const put = (...all: readonly string[]): void => {
    for (const each of all) newest.put({ subject: each.slice(0, 1), text: each.slice(1) });
  };
  put('a1', 'b1', 'b2');
  expect(taken).toEqual([]);
  await settled();
  expect(taken).toEqual(['a1 b2']);
  put('c1', 'a2', 'b3', 'd1', 'c2');
  begun.shift()?.();
  await settled();
  // Those that arrive during the pause are one batch.
  expect(taken).toHaveLength(1);
  put('a3');
  paused.shift()?.();
  await settled();
  expect(taken.slice(1)).toEqual(['c2 a3 b3']);
  begun.shift()?.();
  await settled();
  // A full batch is followed by the rest at once.
  expect(taken.slice(2)).toEqual(['d1']);
  put('e1');
  newest.clear();
  begun.shift()?.();
  await settled();
  paused.shift()?.();
  await settled();
  put('f1');
  await settled();
  expect(taken.slice(3)).toEqual(['f1']);
});
