/**
 * Makes a tree from a manifest, one member after the other: in a fresh directory, every file exclusively, symlinks
 * last, so that nothing can be written through one, and no link made through one. Every method may throw an error of
 * the file system.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CAPABILITY_ATTRIBUTE, type ImageManifest, type ManifestEntry, VERSION_FILES } from '@plinth/contracts';
import { attribute, codeOf, setAttribute } from '@plinth/host-os';
import type { Failure } from '../domain/failure.js';
import { describeMember, type ExpectedMember } from '../domain/members.js';

export class TreeWriter {
  private readonly root: string;
  private fd: number | undefined;
  private hash: Hash | undefined;

  constructor(
    private readonly directory: string,
    private readonly manifest: ImageManifest,
  ) {
    this.root = join(directory, VERSION_FILES.root);
  }

  start(): void {
    mkdirSync(this.root, { mode: 0o700 });
  }

  begin(member: ExpectedMember): undefined {
    if (member.kind === 'mount-script') return this.open(join(this.directory, VERSION_FILES.mountScript));
    const { entry } = member;
    // The manifest's validation guarantees that the target is an earlier entry, and no link itself.
    if (entry.type === 'file' && entry.link !== undefined) {
      linkSync(join(this.root, entry.link), this.pathOf(entry));
      return undefined;
    }
    if (entry.type === 'file') return this.open(this.pathOf(entry));
    if (entry.type === 'directory' && entry.path !== '.') mkdirSync(this.pathOf(entry), { mode: 0o700 });
  }

  write(chunk: Buffer): undefined {
    if (this.fd === undefined || !this.hash) throw new Error('no file is open');
    this.hash.update(chunk);
    for (let offset = 0; offset < chunk.length;) offset += writeSync(this.fd, chunk, offset);
  }

  end(member: ExpectedMember): Failure | undefined {
    if (this.fd === undefined || !this.hash) return undefined;
    const digest = `sha256:${this.hash.digest('hex')}`;
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
    const refused = member.kind === 'entry' && member.entry.type === 'file' ? this.setCapability(member) : undefined;
    futimesSync(this.fd, mtime, mtime);
    this.abandon();
    return refused;
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
  }

  /**
   * Writes the manifest's bytes, never the archive's, and reads them back, because the kernel uses what the file system
   * has stored.
   */
  private setCapability(member: ExpectedMember & { readonly kind: 'entry' }): Failure | undefined {
    const expected = member.entry.type === 'file' ? member.entry.capability : undefined;
    if (expected === undefined) return undefined;
    const path = this.pathOf(member.entry);
    try {
      setAttribute(path, CAPABILITY_ATTRIBUTE, Buffer.from(expected, 'hex'));
    } catch (error) {
      const why =
        codeOf(error) === 'ENOTSUP'
          ? 'the file system of the master repository keeps no extended attributes'
          : `file capabilities can't be set: ${(error as Error).message}`;
      return { reason: 'io-error', message: `${describeMember(member)}: ${why}` };
    }
    const kept = attribute(path, CAPABILITY_ATTRIBUTE).toString('hex');
    if (kept === expected) return undefined;
    return {
      reason: 'io-error',
      message: `${describeMember(member)} has the capability ${kept} on disk, the manifest has ${expected}`,
    };
  }

  private open(path: string): undefined {
    this.fd = openSync(path, 'wx', 0o600);
    this.hash = createHash('sha256');
  }

  private pathOf(entry: ManifestEntry): string {
    return join(this.root, entry.path);
  }
}
