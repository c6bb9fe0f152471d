/** Reads a finished tree into manifest entries, refusing what no image may hold, and gives everything times that two builds have alike. */
import { constants } from 'node:fs';
import { lstat, lutimes, open, readdir, readlink } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { comparePaths, type Digest, type ManifestEntry, MANIFEST_LIMITS } from '@plinth/contracts';
import { BuildRefusal } from '../../domain/build-refusal.js';
import { clampedTime, type TimeRule } from '../../domain/clamped-time.js';
import { pathProblem } from '../../domain/recipe-paths.js';

export interface ScanOptions {
  readonly times: TimeRule;
  readonly signal: AbortSignal;
  /** 0 to 1. */
  readonly onProgress: (fraction: number) => void;
}

/** Files read at once: as many as Node has threads for them. */
const LANES = 4;

interface Found {
  readonly path: string;
  readonly directory: boolean;
}

/** @returns entries in manifest order */
export async function scanTree(root: string, options: ScanOptions): Promise<ManifestEntry[]> {
  const found = await walk(root, options.signal);
  found.sort((a, b) => comparePaths(a.path, b.path));
  const entries: ManifestEntry[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < found.length; index = next++) {
      options.signal.throwIfAborted();
      entries[index] = await entryOf(root, found[index]?.path ?? '', options.times);
      if (index % 500 === 0) options.onProgress(index / found.length);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return entries;
}

async function walk(root: string, signal: AbortSignal): Promise<Found[]> {
  const found: Found[] = [{ path: '.', directory: true }];
  for (let index = 0; index < found.length; index++) {
    const parent = found[index];
    if (!parent?.directory) continue;
    signal.throwIfAborted();
    const prefix = parent.path === '.' ? '' : `${parent.path}/`;
    for (const child of await readdir(hostPath(root, parent.path), { withFileTypes: true, encoding: 'buffer' })) {
      const name = decoded(child.name, prefix);
      const path = prefix + name;
      const problem = pathProblem(`/${path}`);
      if (problem !== undefined) throw unsafe(path, problem);
      if (!child.isFile() && !child.isDirectory() && !child.isSymbolicLink())
        throw unsafe(path, 'is a device, fifo or socket');
      found.push({ path, directory: child.isDirectory() });
    }
    if (found.length > MANIFEST_LIMITS.entries)
      throw new BuildRefusal('unsafe-tree', `the image has more than ${MANIFEST_LIMITS.entries} entries`);
  }
  return found;
}

async function entryOf(root: string, path: string, times: TimeRule): Promise<ManifestEntry> {
  const at = hostPath(root, path);
  const found = await lstat(at);
  const { uid, gid } = found;
  if (uid > MANIFEST_LIMITS.ownerId || gid > MANIFEST_LIMITS.ownerId)
    throw unsafe(path, `belongs to ${uid}:${gid}; ids go up to ${MANIFEST_LIMITS.ownerId}`);
  const mtime = clampedTime(Math.floor(found.mtimeMs / 1000), times);
  const common = { path, mode: found.mode & 0o7777, uid, gid, mtime };
  let entry: ManifestEntry;
  if (found.isDirectory()) entry = { ...common, type: 'directory' };
  else if (found.isSymbolicLink())
    entry = { ...common, mode: 0o777, type: 'symlink', target: await targetOf(at, path) };
  else entry = { ...common, type: 'file', ...(await contentOf(at)) };
  await lutimes(at, mtime, mtime);
  return entry;
}

async function targetOf(at: string, path: string): Promise<string> {
  return decoded(await readlink(at, { encoding: 'buffer' }), `${path} -> `);
}

async function contentOf(at: string): Promise<{ size: number; digest: Digest }> {
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(at, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, size);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      size += bytesRead;
    }
  } finally {
    await file.close();
  }
  return { size, digest: `sha256:${hash.digest('hex')}` };
}

function decoded(name: Buffer, before: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name);
  } catch (error) {
    if (error instanceof TypeError) throw unsafe(before + name.toString('latin1'), 'is not UTF-8');
    throw error;
  }
}

function hostPath(root: string, path: string): string {
  return path === '.' ? root : `${root}/${path}`;
}

function unsafe(path: string, why: string): BuildRefusal {
  return new BuildRefusal('unsafe-tree', `${JSON.stringify(`/${path}`.slice(0, 300))} ${why}`);
}
