/**
 * Reads a finished tree into manifest entries, refuses entries that no image may hold, and sets times that two builds
 * have in common.
 */
import { constants, type Stats } from 'node:fs';
import { lstat, lutimes, open, readdir, readlink } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { CAPABILITIES_IN_REACH } from '@plinth/container-runtime';
import {
  CAPABILITY_ATTRIBUTE,
  comparePaths,
  type Digest,
  type ManifestEntry,
  MANIFEST_LIMITS,
  readCapability,
} from '@plinth/contracts';
import { BuildRefusal } from '../../domain/build-refusal.js';
import { clampedTime, type TimeRule } from '../../domain/clamped-time.js';
import { canRunWith, type LeftOut } from '../../domain/kept-attributes.js';
import { pathProblem } from '../../domain/recipe-paths.js';
import { attribute, attributesOf, removeAttribute } from '@plinth/host-os';

export interface ScanOptions {
  readonly times: TimeRule;
  /** Records attributes that are not kept. */
  readonly leftOut: LeftOut;
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

const BOUNDING: ReadonlySet<string> = new Set(
  CAPABILITIES_IN_REACH.map((name) => name.slice('CAP_'.length).toLowerCase()),
);

/**
 * @returns entries in manifest order; the first path of a file with several names is the file, the others are links to
 * it
 */
export async function scanTree(root: string, options: ScanOptions): Promise<ManifestEntry[]> {
  const found = await walk(root, options.signal);
  found.sort((a, b) => comparePaths(a.path, b.path));
  const stats = await eachOf(found, options.signal, ({ path }) => lstat(hostPath(root, path)));
  const originals = firstNames(stats);
  const entries = await eachOf(found, options.signal, async ({ path }, index) => {
    if (index % 500 === 0) options.onProgress(index / found.length);
    const facts = stats[index];
    if (!facts || originals[index] !== index) return undefined;
    return entryOf(root, path, facts, options);
  });
  return found.map(({ path }, index) => {
    const original = entries[originals[index] ?? index];
    if (!original) throw new Error(`${path} was not read`);
    if (original.path === path || original.type !== 'file') return original;
    return { ...original, path, link: original.path };
  });
}

/** Index of the first name of each entry's file; for most it is the entry itself. */
function firstNames(stats: readonly Stats[]): readonly number[] {
  const seen = new Map<string, number>();
  return stats.map((facts, index) => {
    if (!facts.isFile() || facts.nlink < 2) return index;
    const inode = `${facts.dev}:${facts.ino}`;
    const first = seen.get(inode);
    if (first === undefined) seen.set(inode, index);
    return first ?? index;
  });
}

/** Runs several at once; the results are in the order of the items. */
async function eachOf<T, R>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      signal.throwIfAborted();
      results[index] = await work(items[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return results;
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

async function entryOf(root: string, path: string, facts: Stats, options: ScanOptions): Promise<ManifestEntry> {
  const at = hostPath(root, path);
  const { uid, gid } = facts;
  if (uid > MANIFEST_LIMITS.ownerId || gid > MANIFEST_LIMITS.ownerId)
    throw unsafe(path, `belongs to ${uid}:${gid}; ids go up to ${MANIFEST_LIMITS.ownerId}`);
  const mtime = clampedTime(Math.floor(facts.mtimeMs / 1000), options.times);
  const common = { path, mode: facts.mode & 0o7777, uid, gid, mtime };
  const capability = capabilityOf(at, path, facts.isFile(), options.leftOut);
  let entry: ManifestEntry;
  if (facts.isDirectory()) entry = { ...common, type: 'directory' };
  else if (facts.isSymbolicLink())
    entry = { ...common, mode: 0o777, type: 'symlink', target: await targetOf(at, path) };
  else entry = { ...common, type: 'file', ...(await contentOf(at)), ...(capability !== undefined && { capability }) };
  await lutimes(at, mtime, mtime);
  return entry;
}

/**
 * The capability that is kept, hex. A capability that would prevent the program from running is removed from the tree.
 */
function capabilityOf(at: string, path: string, isFile: boolean, leftOut: LeftOut): string | undefined {
  let kept: string | undefined;
  for (const name of attributesOf(at)) {
    if (name !== CAPABILITY_ATTRIBUTE || !isFile) {
      leftOut.attribute(name);
      continue;
    }
    const read = readCapability(attribute(at, name));
    if (!read.ok) throw unsafe(path, `has a file capability that ${read.problem}`);
    if (canRunWith(read.capability, BOUNDING)) kept = read.hex;
    else {
      leftOut.capability(path, read.capability);
      removeAttribute(at, name);
    }
  }
  return kept;
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
