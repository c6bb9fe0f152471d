/** flock(2): taking one, and seeing whether one is held. Also what tells one boot of the machine from the next. */
import { closeSync, constants as fs, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { isMissing } from './durable-file.js';

export const GUARD_LOCK = 'guard.lock';

/** flock(2) */
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Without asking for it: asking could take it from whoever starts at this moment. From proc(5) /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 08:01:13 0 EOF`. */
export function isLocked(path: string): boolean {
  let inode: number;
  try {
    inode = statSync(path).ino;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => {
      const [, kind, , , , place = ''] = line.trim().split(/\s+/);
      return kind === 'FLOCK' && Number(place.split(':')[2]) === inode;
    });
}

export function tryLock(descriptor: number): boolean {
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;
  return flock(descriptor, LOCK_EX | LOCK_NB) === 0;
}

/** @returns undefined when another guard works for the host */
export function lockGuard(root: string): { release(): void } | undefined {
  const descriptor = openSync(join(root, GUARD_LOCK), fs.O_RDWR | fs.O_CREAT, 0o600);
  if (tryLock(descriptor)) return { release: () => closeSync(descriptor) };
  closeSync(descriptor);
  return undefined;
}

/** Changes with every start of the machine. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
