/**
 * Removes the names of objects that no tree has: those with one link. Between the look at the count and the removal, a
 * fill may link the object. Its tree keeps the inode then, and only the next tree writes the file again: see
 * `object-store.ts` for why nothing else can happen.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { join } from 'node:path';
import { unlessMissing } from '@plinth/host-os';
import { isObjectFile, SHARD } from './object-store.js';

export interface Collection {
  /** Objects that belong to a tree, and their bytes. */
  readonly kept: number;
  readonly keptBytes: number;
  readonly removed: number;
  readonly removedBytes: number;
}

/** A name that a fill may still be about to use is younger than this. */
const ABANDONED_MS = 3_600_000;

/** Several may run at once. It uses synchronous file calls, one directory of objects at a time. @param directory `objects/` */
export async function collectObjects(directory: string, nowMs: number, signal?: AbortSignal): Promise<Collection> {
  const found = { kept: 0, keptBytes: 0, removed: 0, removedBytes: 0 };
  for (const shard of namesIn(directory)) {
    signal?.throwIfAborted();
    const path = join(directory, shard);
    // A symlink here is never followed: it could lead to files of others.
    if (!SHARD.test(shard) || !lstatSync(path).isDirectory()) continue;
    for (const name of namesIn(path)) collect(join(path, name), isObjectFile(name), nowMs, found);
    await setImmediate();
  }
  return found;
}

function collect(
  path: string,
  isObject: boolean,
  nowMs: number,
  found: { -readonly [Field in keyof Collection]: Collection[Field] },
): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats || stats.isDirectory()) return;
  // What is no object was left by a process that died while it replaced one.
  if (isObject ? stats.nlink > 1 : nowMs - stats.ctimeMs < ABANDONED_MS) {
    found.kept++;
    found.keptBytes += stats.size;
    return;
  }
  rmSync(path, { force: true });
  found.removed++;
  found.removedBytes += stats.size;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    return unlessMissing<string[]>([])(error);
  }
}
