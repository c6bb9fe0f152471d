/** Files that are whole or absent, old or new, whenever the process or the power ends. */
import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { unlessMissing } from './system-error.js';

export interface NewFile {
  /** Permissions of the new file, under any umask; 0600 when absent. */
  readonly mode?: number;
}

const DEFAULT_MODE = 0o600;
const TEMPORARY_SUFFIX = '.tmp';

/** Hidden, and with an ending of its own: no reader of a directory takes it for the file that it becomes. */
function temporaryPath(path: string, unique: string): string {
  return join(dirname(path), `.${basename(path)}${unique}${TEMPORARY_SUFFIX}`);
}

/** Survives a power cut once it resolves: written aside, synced, renamed, directory synced. */
export async function writeDurably(path: string, content: string | Uint8Array, options: NewFile = {}): Promise<void> {
  await replace(path, content, options, true);
  await syncPath(dirname(path));
}

/** Whole or absent after the end of the process; after a power cut it may be old, empty or lost. */
export async function writeWhole(path: string, content: string | Uint8Array, options: NewFile = {}): Promise<void> {
  await replace(path, content, options, false);
}

async function replace(
  path: string,
  content: string | Uint8Array,
  { mode = DEFAULT_MODE }: NewFile,
  synced: boolean,
): Promise<void> {
  const temporary = temporaryPath(path, `.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      // The umask cuts the mode that open(2) is given.
      await file.chmod(mode);
      await file.writeFile(content);
      if (synced) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Size of a file that is written over; the text is in the first sector, which a disk writes whole. */
const PLACE_BYTES = 4096;

/**
 * Writes over a small file in its place, so that it can be renewed on a full disk too; made by a rename when it is not
 * there. A reader of this moment may see half of it, which is no JSON.
 * @param flushed wait until a power cut can't take it away
 * @throws RangeError when the text is longer than 4096 bytes
 */
export async function writeInPlace(
  path: string,
  text: string,
  { mode = DEFAULT_MODE, flushed }: NewFile & { readonly flushed: boolean },
): Promise<void> {
  const bytes = Buffer.byteLength(text);
  if (bytes > PLACE_BYTES) throw new RangeError(`${path} has room for ${PLACE_BYTES} bytes, not for ${bytes}`);
  const place = Buffer.alloc(PLACE_BYTES, ' ');
  place.write(text);
  // There is one name: a crash leaves no more than one behind, and the next writer removes it.
  const temporary = temporaryPath(path, '');
  const isThere = await stat(path).then(({ size }) => size === PLACE_BYTES, unlessMissing(false));
  if (!isThere) await rm(temporary, { force: true });
  const file = await open(isThere ? path : temporary, isThere ? 'r+' : 'wx', mode);
  try {
    if (!isThere) await file.chmod(mode);
    await file.write(place, 0, PLACE_BYTES, 0);
    if (flushed) await file.datasync();
  } finally {
    await file.close();
  }
  if (!isThere) await rename(temporary, path);
}

/** Syncs a file or a directory: it is on the disk when this resolves. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Removes what writers that died have left in a directory.
 * @param olderThanMs leave younger ones, which a living writer of another process may be at; 0 where there is no other
 * process
 */
export async function removeTemporaries(directory: string, olderThanMs: number, nowMs = Date.now()): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith(TEMPORARY_SUFFIX)) continue;
    const path = join(directory, name);
    const written = olderThanMs === 0 ? -Infinity : (await stat(path).catch(unlessMissing(undefined)))?.mtimeMs;
    if (written !== undefined && nowMs - written >= olderThanMs) await rm(path, { force: true });
  }
}
