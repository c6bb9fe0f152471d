import { expect, it } from '@jest/globals';
import { MergedWrites } from './merged-writes.js';

interface Beat {
  readonly host: string;
  readonly at: number;
  readonly isRepeat: boolean;
}

it('writes what arrived meanwhile together, and merges what has one name', async () => {
  const written: Beat[][] = [];
  let release = (): void => undefined;
  const together = new MergedWrites<Beat, number>(
    ({ host }) => host,
    (waiting, next) => ({ ...next, isRepeat: waiting.isRepeat && next.isRepeat }),
    (beats) => {
      written.push([...beats]);
      return new Promise((resolve) => {
        release = () => resolve(written.length);
      });
    },
  );
  const beat = (host: string, at: number, isRepeat: boolean): Beat => ({ host, at, isRepeat });
  const first = together.take([beat('a', 1, true)]);
  await new Promise((resolve) => setImmediate(resolve));
  // The second of `a` reports something else, the third repeats that, which was never written.
  const later = [together.take([beat('a', 2, false), beat('b', 1, true)]), together.take([beat('a', 3, true)])];
  release();
  expect(await first).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
  release();
  expect(await Promise.all(later)).toEqual([2, 2]);
  expect(written).toEqual([[beat('a', 1, true)], [beat('a', 3, false), beat('b', 1, true)]]);
});

it('goes on after a write that failed', async () => {
  let isBroken = true;
  const together = new MergedWrites<string, string>(
    (name) => name,
    (_waiting, next) => next,
    async (names) => {
      if (isBroken) throw new Error('no database');
      return names.join();
    },
  );
  await expect(together.take(['a'])).rejects.toThrow('no database');
  isBroken = false;
  expect(await together.take(['a', 'b'])).toBe('a,b');
});
