/**
 * A directory of objects on the file system of the trees that stand on them: `objects/ab/cdef…`, mode 0700. A tree has
 * a file by a hard link to its object, so all trees share its blocks and its cached pages.
 *
 * References are link counts, which the kernel keeps. An object with one link belongs to no tree, and
 * `collectObjects` removes its name. That never harms a fill in another process: a fill that has linked an object
 * keeps its inode, when the name here goes too; one that comes too late finds no object and writes the file.
 *
 * An object has copies, `cdef….1` and so on. Two files of one tree never share an inode unless the manifest says that
 * they are one file (a program that copies the tree and keeps hard links would join them): the second equal file of a
 * tree stands on the second copy. A copy that has as many links as the file system allows is skipped in the same way.
 */
import { linkSync, lstatSync, mkdirSync, renameSync, rmSync, type Stats } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { hasCode } from '@plinth/host-os';
import type { FileEntry } from './object-name.js';

const NAME = /^[0-9a-f]{62}(?:\.[1-9]\d{0,8})?$/;
/** Name of a directory below `objects/`. */
export const SHARD = /^[0-9a-f]{2}$/;
const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;

export function isObjectFile(name: string): boolean {
  return NAME.test(name);
}

export class ObjectStore {
  private readonly shards = new Set<string>();

  /** @param directory is made when the first object gets its name */
  constructor(private readonly directory: string) {}

  pathOf(name: string, copy: number): string {
    return join(this.directory, name.slice(0, 2), copy === 0 ? name.slice(2) : `${name.slice(2)}.${copy}`);
  }

  /**
   * Gives an object one more name.
   * @returns `absent` also when what is there has other attributes; `full` when it has as many links as it can have
   */
  link(name: string, copy: number, entry: FileEntry, target: string): 'linked' | 'absent' | 'full' {
    const path = this.pathOf(name, copy);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found || !hasAttributes(found, entry) || !this.isShardSound(path)) return 'absent';
    try {
      linkSync(path, target);
      return 'linked';
    } catch (error) {
      if (hasCode(error, 'EMLINK')) return 'full';
      // It was collected meanwhile.
      if (hasCode(error, 'ENOENT') && !lstatSync(path, { throwIfNoEntry: false })) return 'absent';
      throw error;
    }
  }

  /**
   * Makes a file an object. Its content must be on the disk: an object that is visible is never half of one, also after
   * a power cut.
   * @returns `exists` when another fill was faster: its object can be linked
   */
  adopt(name: string, copy: number, entry: FileEntry, file: string): 'adopted' | 'exists' {
    const path = this.pathOf(name, copy);
    this.prepareShard(path);
    try {
      linkSync(file, path);
      return 'adopted';
    } catch (error) {
      // The file has as many names as it can have, and stands for itself.
      if (hasCode(error, 'EMLINK')) return 'adopted';
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found && hasAttributes(found, entry)) return 'exists';
    this.replace(path, file);
    return 'adopted';
  }

  /** Puts a file in an object's place; trees that have the object before keep its inode. */
  private replace(path: string, file: string): void {
    const temporary = `${path}.${randomBytes(6).toString('hex')}.new`;
    linkSync(file, temporary);
    try {
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  private prepareShard(path: string): void {
    const shard = dirname(path);
    if (this.shards.has(shard)) return;
    mkdirSync(shard, { recursive: true, mode: 0o700 });
    if (!this.isShardSound(path)) throw new ForeignDirectoryError(shard);
  }

  /** A symlink in its place could lead objects to where others write. */
  private isShardSound(path: string): boolean {
    const shard = dirname(path);
    if (this.shards.has(shard)) return true;
    if (!lstatSync(shard).isDirectory()) throw new ForeignDirectoryError(shard);
    this.shards.add(shard);
    return true;
  }
}

export class ForeignDirectoryError extends Error {
  override readonly name = 'ForeignDirectoryError';
  readonly code = 'ENOTDIR';
  constructor(path: string) {
    super(`ENOTDIR: ${path} is no directory; move it away, the objects in it are made again`);
  }
}

/** Whether an inode carries what the entry says, but for its content and its capability. */
export function hasAttributes(found: Stats, entry: FileEntry): boolean {
  return (
    (found.mode & FILE_TYPE) === REGULAR &&
    (found.mode & 0o7777) === entry.mode &&
    found.size === entry.size &&
    found.uid === entry.uid &&
    found.gid === entry.gid &&
    found.mtimeMs === entry.mtime * 1_000
  );
}
