/**
 * Makes a tree from a manifest, one member after the other: in a fresh directory, every file exclusively, symlinks
 * last, so that nothing can be written through one, and no link made through one. A file whose object is there gets a
 * link to it; the others are written, and become objects after they are on the disk. Every method may throw an error of
 * the file system.
 */
import { createHash, hash, type Hash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CAPABILITY_ATTRIBUTE, type ImageManifest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';
import { attribute, codeOf, hasCode, setAttribute } from '@plinth/host-os';
import { describeMember, type ExpectedMember } from './archive-members.js';
import { type FileEntry, objectName } from './object-name.js';
import type { ObjectStore } from './object-store.js';
import type { StoreFailure } from './outcome.js';

/** Files with several names are counted once, and only those of the tree, without the mount script. */
export interface FillSummary {
  readonly sharedFiles: number;
  readonly sharedBytes: number;
  readonly writtenFiles: number;
  readonly writtenBytes: number;
}

/** Beside `root/`, while a file gets another inode. */
const TEMPORARY = 'object.new';

interface NewFile {
  readonly entry: FileEntry;
  readonly name: string;
  copy: number;
}

export class TreeFilling {
  private readonly root: string;
  private fd: number | undefined;
  /** Of the open file, when it comes in more than one piece. */
  private hash: Hash | undefined;
  private digest: string | undefined;
  private left = 0;
  /** By name of an object: the first copy that this tree has not used. */
  private readonly nextCopy = new Map<string, number>();
  private readonly newFiles: NewFile[] = [];
  private readonly counts = { sharedFiles: 0, sharedBytes: 0, writtenFiles: 0, writtenBytes: 0 };

  /** @param objects without them the tree shares nothing */
  constructor(
    private readonly directory: string,
    private readonly manifest: ImageManifest,
    private readonly objects: ObjectStore | undefined,
  ) {
    this.root = join(directory, VERSION_FILES.root);
  }

  get summary(): FillSummary {
    return this.counts;
  }

  /** Whether the member that was begun needs its content. */
  get isOpen(): boolean {
    return this.fd !== undefined;
  }

  start(): void {
    mkdirSync(this.root, { mode: 0o700 });
  }

  begin(member: ExpectedMember): undefined {
    if (member.kind === 'mount-script')
      return this.open(join(this.directory, VERSION_FILES.mountScript), this.manifest.mountScript.bytes);
    const { entry } = member;
    if (entry.type === 'directory' && entry.path !== '.') mkdirSync(this.pathOf(entry), { mode: 0o700 });
    if (entry.type !== 'file') return undefined;
    if (entry.link !== undefined) return this.addName(entry, entry.link);
    if (this.share(entry)) return undefined;
    this.counts.writtenFiles++;
    this.counts.writtenBytes += entry.size;
    return this.open(this.pathOf(entry), entry.size);
  }

  /** A part of the member's content; it is ignored when the file was there already. */
  write(chunk: Buffer): undefined {
    if (this.fd === undefined) return undefined;
    // Most files come in one piece.
    if (chunk.length === this.left && !this.hash) this.digest = hash('sha256', chunk, 'hex');
    else (this.hash ??= createHash('sha256')).update(chunk);
    this.left -= chunk.length;
    for (let offset = 0; offset < chunk.length;) offset += writeSync(this.fd, chunk, offset);
  }

  end(member: ExpectedMember): StoreFailure | undefined {
    if (this.fd === undefined) return undefined;
    const digest = `sha256:${this.digest ?? (this.hash ?? createHash('sha256')).digest('hex')}`;
    const expected =
      member.kind === 'mount-script'
        ? this.manifest.mountScript.digest
        : member.entry.type === 'file'
          ? member.entry.digest
          : '';
    if (digest !== expected)
      return {
        reason: 'manifest-mismatch',
        message: `${describeMember(member)} has the digest ${digest}, the manifest has ${expected}`,
      };
    const { uid, gid, mode, mtime } =
      member.kind === 'entry' ? member.entry : { uid: 0, gid: 0, mode: 0o755, mtime: 0 };
    // The order matters: a change of the owner removes setuid and capabilities.
    fchownSync(this.fd, uid, gid);
    fchmodSync(this.fd, mode);
    const refused =
      member.kind === 'entry' && member.entry.type === 'file' ? this.setCapability(member.entry) : undefined;
    futimesSync(this.fd, mtime, mtime);
    this.abandon();
    return refused;
  }

  /** To be called after a sync of the file system, and before {@link finish}. */
  makeObjects(): void {
    const { objects } = this;
    if (!objects) return;
    const temporary = join(this.directory, TEMPORARY);
    for (const file of this.newFiles) {
      const path = this.pathOf(file.entry);
      // Another fill was faster: its object takes the place of this file, unless it is collected just now.
      while (objects.adopt(file.name, file.copy, file.entry, path) === 'exists') {
        // A file with several names stays as it is.
        const linked = this.hasLinks(file.entry) ? 'full' : objects.link(file.name, file.copy, file.entry, temporary);
        if (linked === 'linked') renameSync(temporary, path);
        if (linked !== 'absent') break;
      }
    }
  }

  /**
   * Writes symlinks, then the attributes of directories: from the leaves up, because every change inside updates their
   * time.
   */
  finish(): void {
    for (const entry of this.manifest.entries) {
      if (entry.type !== 'symlink') continue;
      const path = this.pathOf(entry);
      symlinkSync(entry.target, path);
      lchownSync(path, entry.uid, entry.gid);
      lutimesSync(path, entry.mtime, entry.mtime);
    }
    for (const entry of [...this.manifest.entries].reverse()) {
      if (entry.type !== 'directory') continue;
      const path = this.pathOf(entry);
      chownSync(path, entry.uid, entry.gid);
      chmodSync(path, entry.mode);
      utimesSync(path, entry.mtime, entry.mtime);
    }
  }

  /** Closes the open file. */
  abandon(): undefined {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    this.hash = undefined;
    this.digest = undefined;
  }

  /** @returns whether the file stands, as a link to its object */
  private share(entry: FileEntry): boolean {
    if (!this.objects) return false;
    const name = objectName(entry);
    for (let copy = this.nextCopy.get(name) ?? 0; ; copy++) {
      const linked = this.objects.link(name, copy, entry, this.pathOf(entry));
      if (linked === 'full') continue;
      this.nextCopy.set(name, copy + 1);
      if (linked === 'absent') this.newFiles.push({ entry, name, copy });
      else {
        this.counts.sharedFiles++;
        this.counts.sharedBytes += entry.size;
      }
      return linked === 'linked';
    }
  }

  /** The manifest's validation guarantees that `first` is an earlier entry, and no link itself. */
  private addName(entry: FileEntry, first: string): undefined {
    for (;;) {
      try {
        linkSync(join(this.root, first), this.pathOf(entry));
        return;
      } catch (error) {
        if (!hasCode(error, 'EMLINK') || !this.objects) throw error;
      }
      this.leaveObject(first, entry);
    }
  }

  /** Moves a file of this tree to another inode: its object has no links left for all the names of the file. */
  private leaveObject(path: string, last: FileEntry): void {
    const { entries } = this.manifest;
    const entry = entries.find((found): found is FileEntry => found.path === path && found.type === 'file');
    if (!entry) throw new Error(`the manifest has no file ${path}`);
    const names = entries
      .slice(0, entries.indexOf(last))
      .filter((found) => found.type === 'file' && found.link === path);
    const inode = join(this.directory, TEMPORARY);
    for (;;) {
      this.takeNextInode(entry, inode);
      try {
        for (const name of names) {
          rmSync(this.pathOf(name), { force: true });
          linkSync(inode, this.pathOf(name));
        }
        renameSync(inode, this.pathOf(entry));
        return;
      } catch (error) {
        if (!hasCode(error, 'EMLINK')) throw error;
      }
      rmSync(inode);
    }
  }

  /** The object's next copy, or a new file that becomes it. */
  private takeNextInode(entry: FileEntry, target: string): void {
    const name = objectName(entry);
    for (let copy = this.nextCopy.get(name) ?? 0; ; copy++) {
      const linked = this.objects?.link(name, copy, entry, target) ?? 'absent';
      if (linked === 'full') continue;
      this.nextCopy.set(name, copy + 1);
      if (linked === 'linked') return;
      this.newFiles.push({ entry, name, copy });
      break;
    }
    copyFileSync(this.pathOf(entry), target);
    const fd = openSync(target, 'r+');
    try {
      fchownSync(fd, entry.uid, entry.gid);
      fchmodSync(fd, entry.mode);
      const { capability } = entry;
      if (capability !== undefined) setAttribute(target, CAPABILITY_ATTRIBUTE, Buffer.from(capability, 'hex'));
      futimesSync(fd, entry.mtime, entry.mtime);
    } finally {
      closeSync(fd);
    }
  }

  private hasLinks(entry: FileEntry): boolean {
    this.linked ??= new Set(
      this.manifest.entries.flatMap((found) => (found.type === 'file' ? (found.link ?? []) : [])),
    );
    return this.linked.has(entry.path);
  }
  private linked: ReadonlySet<string> | undefined;

  /**
   * Writes the manifest's bytes, never the archive's, and reads them back, because the kernel uses what the file system
   * has stored.
   */
  private setCapability(entry: FileEntry): StoreFailure | undefined {
    const { capability: expected } = entry;
    if (expected === undefined) return undefined;
    const path = this.pathOf(entry);
    const described = describeMember({ kind: 'entry', entry });
    try {
      setAttribute(path, CAPABILITY_ATTRIBUTE, Buffer.from(expected, 'hex'));
    } catch (error) {
      const why =
        codeOf(error) === 'ENOTSUP'
          ? 'the file system of the master repository keeps no extended attributes'
          : `file capabilities can't be set: ${(error as Error).message}`;
      return { reason: 'io-error', message: `${described}: ${why}` };
    }
    const kept = attribute(path, CAPABILITY_ATTRIBUTE).toString('hex');
    if (kept === expected) return undefined;
    return {
      reason: 'io-error',
      message: `${described} has the capability ${kept} on disk, the manifest has ${expected}`,
    };
  }

  private open(path: string, size: number): undefined {
    this.fd = openSync(path, 'wx', 0o600);
    this.left = size;
  }

  private pathOf(entry: ManifestEntry): string {
    return join(this.root, entry.path);
  }
}
