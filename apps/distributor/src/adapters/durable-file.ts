/** Files that are either the old or the new text after a power cut, never something between. */
import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hasCode } from './system-error.js';

/** Names that are never anything but a write in progress. */
export const UNFINISHED_PREFIX = '.unfinished-';

export async function writeDurably(path: string, text: string): Promise<void> {
  const unfinished = join(dirname(path), `${UNFINISHED_PREFIX}${randomBytes(4).toString('hex')}-${basename(path)}`);
  try {
    const file = await open(unfinished, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** A file that a writer of another process may still be at is younger than this. */
const ABANDONED_MS = 60_000;

/** Removes writes that no process will finish. */
export async function removeAbandoned(directory: string, now: number): Promise<void> {
  for (const file of await readdir(directory)) {
    if (!file.startsWith(UNFINISHED_PREFIX)) continue;
    const path = join(directory, file);
    const { mtimeMs } = await stat(path).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return { mtimeMs: now };
      throw error;
    });
    if (now - mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
