/**
 * Compares a tree on the disk with its manifest: every name, every attribute, every byte. It reads through the file
 * cache, because that is what containers get. It uses synchronous file calls, and runs in a thread of its own.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { CAPABILITY_ATTRIBUTE, type ManifestEntry } from '@plinth/contracts';
import { attribute, attributesOf, codeOf } from '@plinth/host-os';
import { type FileEntry, objectName } from './object-name.js';
import { hasAttributes } from './object-store.js';

export interface TreeProblem {
  /** As in the manifest, relative to `root/`. */
  readonly path: string;
  /** What is wrong with it, for people. */
  readonly problem: string;
}

const PIECE = 1024 ** 2;
const TYPE = 0o170000;

/** Files of several trees that share inodes are read once by one reader. */
export class FileReader {
  files = 0;
  bytes = 0;
  private readonly piece = Buffer.alloc(PIECE);
  /** By inode: the name of the object that it was found to be. */
  private readonly verified = new Map<number, string>();

  /** @param pace is called after each piece, with its bytes; it may wait */
  constructor(private readonly pace: (bytes: number) => void = () => undefined) {}

  /** @returns what is wrong with the content or the capability of a file whose attributes are right */
  problem(path: string, entry: FileEntry): string | undefined {
    const name = objectName(entry);
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { ino } = fstatSync(fd);
      if (this.verified.get(ino) === name) return undefined;
      const capability = attributesOf(path).includes(CAPABILITY_ATTRIBUTE)
        ? attribute(path, CAPABILITY_ATTRIBUTE).toString('hex')
        : undefined;
      if (capability !== entry.capability)
        return `its capability is ${capability ?? 'none'}, not ${entry.capability ?? 'none'}`;
      const digest = this.digest(fd);
      if (digest !== entry.digest) return `its content has the digest ${digest}, not ${entry.digest}`;
      this.verified.set(ino, name);
      return undefined;
    } finally {
      closeSync(fd);
    }
  }

  private digest(fd: number): string {
    const hash = createHash('sha256');
    this.files++;
    for (;;) {
      const bytes = readSync(fd, this.piece, 0, PIECE, null);
      if (bytes === 0) return `sha256:${hash.digest('hex')}`;
      hash.update(this.piece.subarray(0, bytes));
      this.bytes += bytes;
      this.pace(bytes);
    }
  }
}

/** @param root of the tree; nothing else changes it meanwhile, or it was withdrawn and is missing */
export function checkTree(root: string, entries: readonly ManifestEntry[], reader: FileReader): TreeProblem[] {
  const problems: TreeProblem[] = [];
  /** Names in each directory that is there. One that is something else is not looked into: a symlink leads elsewhere. */
  const children = new Map<string, Set<string>>();
  for (const entry of entries) {
    const { path } = entry;
    const slash = path.lastIndexOf('/');
    const siblings = children.get(slash < 0 ? '.' : path.slice(0, slash));
    if (path !== '.') siblings?.add(path.slice(slash + 1));
    const problem =
      path === '.' || siblings ? attempt(() => entryProblem(root, entry, reader)) : 'its directory is missing';
    if (problem !== undefined) problems.push({ path, problem });
    if (entry.type === 'directory' && (path === '.' || siblings) && isDirectory(join(root, path)))
      children.set(path, new Set());
  }
  for (const [path, names] of children) {
    for (const name of readdirSync(join(root, path)))
      if (!names.has(name))
        problems.push({ path: path === '.' ? name : `${path}/${name}`, problem: 'the manifest has no such name' });
  }
  return problems;
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function entryProblem(root: string, entry: ManifestEntry, reader: FileReader): string | undefined {
  const path = join(root, entry.path);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return 'it is missing';
  if (entry.type === 'file') {
    if (!hasAttributes(found, entry)) return `it is ${described(found)}`;
    if (entry.link !== undefined && lstatSync(join(root, entry.link), { throwIfNoEntry: false })?.ino !== found.ino)
      return `it is no other name of ${entry.link}`;
    return reader.problem(path, entry);
  }
  const type = entry.type === 'directory' ? constants.S_IFDIR : constants.S_IFLNK;
  const mode = entry.type === 'directory' ? entry.mode : found.mode & 0o7777;
  if (found.mode !== (type | mode) || found.uid !== entry.uid || found.gid !== entry.gid)
    return `it is ${described(found)}`;
  return entry.type === 'symlink' && readlinkSync(path) !== entry.target ? 'it has another target' : undefined;
}

function described({ mode, uid, gid, size, mtimeMs }: Stats): string {
  return `of mode ${(mode & ~TYPE).toString(8)}, type ${((mode & TYPE) >> 12).toString(8)}, owner ${uid}:${gid}, ${size} bytes, time ${mtimeMs / 1_000}`;
}

/** A disk that can't read a file is one more way to be damaged. */
function attempt(check: () => string | undefined): string | undefined {
  try {
    return check();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    return `it can't be read: ${(error as Error).message}`;
  }
}
