/** What waits is replaced by what is newer. */
import { expect, it } from '@jest/globals';
import { NewestMessages } from './newest-messages.js';

it('begins one after the other, each subject in its turn and with its newest message', async () => {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const newest = new NewestMessages<{ subject: string; text: string }>(({ subject, text }) => {
    begun.push(`${subject} ${text}`);
    return new Promise((resolve) => waiting.push(resolve));
  });
  const go = async (): Promise<void> => {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const text of ['1', '2', '3']) for (const subject of ['a', 'b', 'c']) newest.put({ subject, text });
  expect(begun).toEqual(['a 1']);
  await go();
  newest.put({ subject: 'c', text: '4' });
  newest.put({ subject: 'b', text: '4' });
  for (let turns = 0; turns < 6; turns++) await go();
  expect(begun).toEqual(['a 1', 'b 3', 'c 4', 'a 3', 'b 4']);
  newest.put({ subject: 'd', text: '1' });
  newest.put({ subject: 'e', text: '1' });
  newest.clear();
  await go();
  newest.put({ subject: 'f', text: '1' });
  await go();
  expect(begun.slice(5)).toEqual(['d 1', 'f 1']);
});
