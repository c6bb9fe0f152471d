/** flock(2) and syncfs(2), which Node does not offer. */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const flock = libc.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;
const syncfs = libc.func('int syncfs(int fd)') as unknown as {
  async(fd: number, done: (error: Error | null, result: number) => void): void;
};

const LOCK_EX = 2;
const LOCK_NB = 4;
const { EWOULDBLOCK } = koffi.os.errno as { EWOULDBLOCK: number };

/** @returns false when somebody else holds it. The lock ends with the open file, so also with the process. */
export function tryExclusiveLock(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === EWOULDBLOCK) return false;
  throw new Error(`flock: errno ${errno}`);
}

/** Writes everything of the file system that the file lies on to the disk; in a thread of koffi's pool. */
export function syncFileSystem(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    syncfs.async(fd, (error, result) => {
      if (error) reject(error);
      else if (result !== 0) reject(Object.assign(new Error(`syncfs: errno ${koffi.errno()}`), { code: 'EIO' }));
      else resolve();
    });
  });
}
