/** The programs of plugins, and the file that names them. */
import { accessSync, constants, closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, hasCode } from '@plinth/host-os';
import { MAX_CONFIGURATION_BYTES } from './configuration.js';

/** Where plugins usually are, `:` between the directories: those of CNI's own releases come before Debian's. */
export const CNI_DIRECTORIES = '/opt/cni/bin:/usr/lib/cni';
const WRITABLE_BY_OTHERS = 0o002;

/** @returns the file of a plugin's program; a sentence in `problem` when there is none that may be run */
export function findPlugin(
  type: string,
  path: readonly string[],
): { readonly file: string } | { readonly problem: string } {
  for (const directory of path) {
    const file = join(directory, type);
    try {
      const stat = statSync(file);
      if (!stat.isFile()) continue;
      if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
        return { problem: `${file} may be written by every user of this machine; chmod o-w it` };
      accessSync(file, constants.X_OK);
      return { file };
    } catch (error) {
      if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error;
    }
  }
  return { problem: `there is no plugin ${type} in ${path.join(' or ')}` };
}

/** @returns its text; a sentence in `problem` when it can't be used */
export function readConfigurationFile(file: string): { readonly text: string } | { readonly problem: string } {
  let descriptor: number;
  try {
    // Opening a FIFO would wait for its writer.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return { problem: `can't be read: ${codeOf(error)}` };
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return { problem: 'is no file' };
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
      return { problem: 'may be written by every user of this machine; chmod o-w it' };
    if (stat.size > MAX_CONFIGURATION_BYTES) return { problem: `is larger than ${MAX_CONFIGURATION_BYTES} bytes` };
    const buffer = Buffer.alloc(MAX_CONFIGURATION_BYTES);
    return { text: buffer.subarray(0, readSync(descriptor, buffer, 0, buffer.length, 0)).toString('utf8') };
  } finally {
    closeSync(descriptor);
  }
}
