/**
 * Locks by flock(2): exclusive, never waited for. The lock belongs to the open file, so the kernel ends it with the
 * process, in any way that it ends.
 */
import { closeSync, constants as fs, fstatSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { bindCall, type BoundCall, lastErrno, SystemCallError } from './libc.js';
import { hasCode, isMissing } from './system-error.js';

export interface FileLock {
  release(): void;
}

/** flock(2) */
const LOCK_EX = 2;
const LOCK_NB = 4;
/** A pid has at most seven, proc_sys_kernel(5) pid_max. */
const PID_DIGITS = 10;

let flock: BoundCall | undefined;

/**
 * @returns false when another open file holds it, and for no other reason
 * @throws SystemCallError e.g. ENOLCK, ENOSYS
 */
export function lockDescriptor(fd: number, path: string): boolean {
  const call = (flock ??= bindCall('int flock(int fd, int operation)'));
  for (;;) {
    if (call(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const errno = lastErrno();
    // EWOULDBLOCK and EAGAIN are the same on Linux.
    if (errno === constants.errno.EWOULDBLOCK || errno === constants.errno.EAGAIN) return false;
    if (errno !== constants.errno.EINTR) throw new SystemCallError('flock', errno, path);
  }
}

/** Opens and locks; in every case nothing stays open but a lock. */
function openLocked(path: string, mode: number): number | undefined {
  const fd = openSync(path, fs.O_RDWR | fs.O_CREAT, mode);
  let taken = false;
  try {
    taken = lockDescriptor(fd, path);
  } finally {
    if (!taken) closeSync(fd);
  }
  return taken ? fd : undefined;
}

/**
 * A lock on a file that stays, with the holder's pid in it, for {@link isFileLocked}. The file has mode 0600.
 * @returns undefined when another process, or this one, holds it
 * @throws SystemCallError when the file system does not lock
 */
export function tryFileLock(path: string): FileLock | undefined {
  const fd = openLocked(path, 0o600);
  if (fd === undefined) return undefined;
  try {
    // The text always has the same length and is written over: that needs no space on a full disk.
    writeSync(fd, `${String(process.pid).padStart(PID_DIGITS)}\n`, 0);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return { release: () => closeSync(fd) };
}

const LOOK_AGAIN_MS = 50;

/**
 * As {@link tryFileLock}; when the process that had taken it has ended, waits for its children that still have the file
 * open: one that was killed leaves some for a moment.
 * @param patienceMs for them
 * @throws SystemCallError when the file system does not lock
 */
export async function takeFileLock(path: string, patienceMs: number): Promise<FileLock | undefined> {
  for (const end = performance.now() + patienceMs; ; await delay(LOOK_AGAIN_MS)) {
    const lock = tryFileLock(path);
    if (lock || performance.now() >= end || isAlive(readFileSync(path, 'utf8').trim())) return lock;
  }
}

/** One that was killed is shown as a zombie until its parent has read its end, and while a thread of it is still in a call. */
function isAlive(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the state follows the name, in which anything may be.
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
}

/**
 * A lock whose file is removed when it is released, for locks of which there are many. The file has mode 0644.
 * @returns undefined when another process, or another task of this one, holds it
 * @throws SystemCallError when the file system does not lock
 */
export function tryTransientLock(path: string): FileLock | undefined {
  for (;;) {
    const fd = openLocked(path, 0o644);
    if (fd === undefined) return undefined;
    // The holder before removed the file after it was opened here: this lock is on a file that no other process will
    // find.
    if (isStill(path, fd)) {
      return {
        release: () => {
          // The file is removed before it is unlocked, so that the next holder sees that it is gone.
          rmSync(path, { force: true });
          closeSync(fd);
        },
      };
    }
    closeSync(fd);
  }
}

function isStill(path: string, fd: number): boolean {
  try {
    const named = statSync(path);
    const open = fstatSync(fd);
    return named.ino === open.ino && named.dev === open.dev;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/**
 * Whether a process holds the lock of {@link tryFileLock}, without trying to take it, which could take it from a
 * process that starts at this moment. From proc(5) /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 08:01:13 0 EOF`. The
 * device there is not always that of stat(2), and inodes of two file systems may be equal: the pid in the file decides.
 */
export function isFileLocked(path: string): boolean {
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
