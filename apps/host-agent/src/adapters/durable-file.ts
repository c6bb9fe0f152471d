/** Files that are whole or absent, whenever the process or the power ends. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Survives a power cut once it resolves: written aside, synced, renamed, directory synced. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(dirname(path));
}

/** Whole or absent after the end of the process; after a power cut it may be old or lost. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Room that a file takes which is written over; what it says stands in the first sector, which a disk writes whole. */
const PLACE_BYTES = 4096;

/**
 * Writes over a small file in its place, so that it can be renewed on a full disk too; made by a rename when it is not there. Who reads at
 * this moment may see half of it, which is no JSON.
 * @param flushed wait until a power cut can't take it away
 */
export async function writeOver(path: string, text: string, mode: number, flushed: boolean): Promise<void> {
  if (Buffer.byteLength(text) > PLACE_BYTES)
    throw new RangeError(`${path} can't hold ${Buffer.byteLength(text)} bytes`);
  const place = Buffer.alloc(PLACE_BYTES, ' ');
  place.write(text);
  // One name: a crash leaves no more than one behind.
  const temporary = `${path}${TEMPORARY_SUFFIX}`;
  const isThere = await stat(path).then(
    ({ size }) => size === PLACE_BYTES,
    () => false,
  );
  if (!isThere) await rm(temporary, { force: true });
  const file = await open(isThere ? path : temporary, isThere ? 'r+' : 'wx', mode);
  try {
    await file.write(place, 0, PLACE_BYTES, 0);
    if (flushed) await file.datasync();
  } finally {
    await file.close();
  }
  if (!isThere) await rename(temporary, path);
}

/** A file or a directory. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Leftovers with this ending belong to nobody at start. */
export const TEMPORARY_SUFFIX = '.tmp';

function temporaryName(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}${TEMPORARY_SUFFIX}`;
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';
}
