/** flock(2): taking one, and seeing whether one is held. Also what tells one boot of the machine from the next. */
import { closeSync, constants as fs, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { isMissing } from './durable-file.js';

export const GUARD_LOCK = 'guard.lock';

/** flock(2) */
const LOCK_EX = 2;
const LOCK_NB = 4;
/** A pid has at most seven, see proc_sys_kernel(5) pid_max. */
const PID_DIGITS = 10;

/**
 * Without asking for it: asking could take it from whoever starts at this moment. From proc(5) /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 08:01:13 0 EOF`.
 * The device there is not always the one that stat(2) tells, and inodes of two file systems may be equal: the file says whose lock it is.
 */
export function isLocked(path: string): boolean {
  let inode: number;
  let holder: string;
  try {
    inode = statSync(path).ino;
    holder = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => {
      const [, kind, , , pid, place = ''] = line.trim().split(/\s+/);
      return kind === 'FLOCK' && pid === holder && Number(place.split(':')[2]) === inode;
    });
}

/** Held until this process ends, in whatever way, and no longer than that. @returns undefined when another process holds it */
export function takeLock(path: string): { release(): void } | undefined {
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)') as (
    fd: number,
    operation: number,
  ) => number;
  const descriptor = openSync(path, fs.O_RDWR | fs.O_CREAT, 0o600);
  if (flock(descriptor, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(descriptor);
    return undefined;
  }
  // Always as long, and written over: that needs no space on a full disk.
  writeSync(descriptor, `${String(process.pid).padStart(PID_DIGITS)}\n`, 0);
  return { release: () => closeSync(descriptor) };
}

/** @returns undefined when another guard works for the host */
export function lockGuard(root: string): { release(): void } | undefined {
  return takeLock(join(root, GUARD_LOCK));
}

/** Changes with every start of the machine. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
