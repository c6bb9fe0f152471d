/** Removal of trees that others have filled. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { hasCode } from './system-error.js';

/**
 * Removes a file or a tree of any depth; nothing when it is not there. Node's own removal needs the whole name of each
 * file, which the kernel refuses from 4,096 bytes on, and a tenant can make a deeper one. rm(1) walks from
 * directory to directory.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!hasCode(error, 'ENAMETOOLONG')) throw error;
    await promisify(execFile)('rm', ['--recursive', '--force', '--', path]);
  }
}
