/** flock(2) as the kernel shows it. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { isLocked, takeLock } from './kernel-locks.js';

const directory = mkdtempSync(join(tmpdir(), 'plinth-locks-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('a lock is seen while it is held, by its file, and by nobody else taken', () => {
  const path = join(directory, 'lock');
  expect(isLocked(path)).toBe(false);
  const lock = takeLock(path);
  expect(isLocked(path)).toBe(true);
  expect(takeLock(path)).toBeUndefined();
  expect(statSync(path).size).toBeLessThan(20);
  lock?.release();
  expect(isLocked(path)).toBe(false);
});

it('the lock of a file of another file system with the same inode is another lock', () => {
  const path = join(directory, 'other');
  const lock = takeLock(path);
  // The same inode is held, and by whom the file says is another process: that is how a file of the same number looks.
  writeFileSync(path, '1\n');
  expect(isLocked(path)).toBe(false);
  lock?.release();
});
