/** One installation of an image version at a time, among all distributors of a node. */
import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { tryExclusiveLock } from './libc.js';
import { hasCode } from './system-error.js';

export interface ImageLock {
  release(): void;
}

/** @returns undefined when another distributor, or another task of this one, holds it */
export function tryImageLock(path: string): ImageLock | undefined {
  for (;;) {
    const fd = openSync(path, 'a', 0o644);
    if (!tryExclusiveLock(fd)) {
      closeSync(fd);
      return undefined;
    }
    // The holder before removed the file after we had opened it: our lock is on a file nobody else will find.
    if (isStill(path, fd)) {
      return {
        release: () => {
          // Removed before it is unlocked, so that whoever waits sees that it is gone.
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
    return statSync(path).ino === fstatSync(fd).ino;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}
