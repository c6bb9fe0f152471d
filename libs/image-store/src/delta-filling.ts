/**
 * Fills a tree from a version that stands here and the contents that it lacks. Every file that is written is verified
 * again as it is, so a damaged base damages no other version. It uses synchronous file calls, and runs in a thread of
 * its own.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, type ImageManifest, type ManifestEntry } from '@plinth/contracts';
import { hasCode, syncFileSystem } from '@plinth/host-os';
import { describeMember, expectedMembers } from './archive-members.js';
import { fileFailure } from './file-failure.js';
import { ObjectStore } from './object-store.js';
import { done, failed, type StoreOutcome } from './outcome.js';
import { type FillSummary, TreeFilling } from './tree-filling.js';

export interface DeltaFilling {
  /** An empty directory. */
  readonly directory: string;
  readonly manifest: ImageManifest;
  /** Directory of the objects, on the same file system; without it the tree shares nothing. */
  readonly objects?: string;
  readonly mountScript: Uint8Array;
  /** Directory of contents, each named by the 64 hex digits of its digest. */
  readonly contents: string;
  /** The version that stands: root directory and entries. */
  readonly base: { readonly root: string; readonly entries: readonly ManifestEntry[] };
}

const BLOCK = 1024 ** 2;

/** The order is that of `extractArchive`. After a failure the directory is incomplete, and the caller removes it. */
export async function fillFromDelta(job: DeltaFilling): Promise<StoreOutcome<FillSummary>> {
  const objects = job.objects === undefined ? undefined : new ObjectStore(job.objects);
  const filling = new TreeFilling(job.directory, job.manifest, objects);
  try {
    filling.start();
    const written = writeMembers(job, filling);
    if (!written.ok) return written;
    if (objects && filling.summary.writtenFiles > 0) await syncFileSystem(job.directory);
    filling.makeObjects();
    filling.finish();
    return done(filling.summary);
  } catch (error) {
    return fileFailure(error, 'the tree could not be written');
  } finally {
    filling.abandon();
  }
}

function writeMembers(job: DeltaFilling, filling: TreeFilling): StoreOutcome<void> {
  const block = Buffer.allocUnsafe(BLOCK);
  const standing = new Map<Digest, string>();
  for (const entry of job.base.entries)
    if (entry.type === 'file' && !standing.has(entry.digest))
      standing.set(entry.digest, join(job.base.root, entry.path));
  for (const member of expectedMembers(job.manifest)) {
    filling.begin(member);
    if (!filling.isOpen) continue;
    if (member.kind === 'mount-script') filling.write(Buffer.from(job.mountScript));
    else if (member.entry.type === 'file' && member.entry.size > 0) {
      const { digest } = member.entry;
      const source = openFirst([join(job.contents, digest.slice(digest.indexOf(':') + 1)), standing.get(digest)]);
      if (source === undefined)
        return failed('manifest-mismatch', `neither the delta nor its base has ${describeMember(member)}`);
      try {
        for (let read: number; (read = readSync(source, block, 0, block.length, null)) > 0;)
          filling.write(block.subarray(0, read));
      } finally {
        closeSync(source);
      }
    }
    const failure = filling.end(member);
    if (failure) return { ok: false, ...failure };
  }
  return done(undefined);
}

function openFirst(paths: readonly (string | undefined)[]): number | undefined {
  for (const path of paths)
    try {
      if (path !== undefined) return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  return undefined;
}
