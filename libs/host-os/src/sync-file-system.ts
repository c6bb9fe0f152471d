import { open } from 'node:fs/promises';
import { bindCall, type BoundCall, lastErrno, SystemCallError } from './libc.js';

let syncfs: BoundCall | undefined;

/**
 * Writes everything of the file system that a file or directory lies on to the disk, syncfs(2); other work goes on
 * meanwhile.
 * @throws SystemCallError EIO, ENOSPC or EDQUOT when something could not be written
 */
export async function syncFileSystem(path: string): Promise<void> {
  const call = (syncfs ??= bindCall('int syncfs(int fd)'));
  const handle = await open(path, 'r');
  try {
    await new Promise<void>((resolve, reject) => {
      call.async(handle.fd, (error: Error | null, result: number) => {
        if (error) reject(error);
        else if (result !== 0) reject(new SystemCallError('syncfs', lastErrno(), path));
        else resolve();
      });
    });
  } finally {
    await handle.close();
  }
}
