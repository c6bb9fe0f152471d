/** A segment as a file: made from two trees, and unpacked on a node that has the first. */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '@plinth/contracts';
import type { DeltaSegment, Piece } from './delta-plan.js';
import { compressAgainst, type Expansion, expandAgainst } from './zstd.js';

/** What a segment is packed from. */
export interface SegmentSource {
  readonly segment: DeltaSegment;
  /** Root directories of the two versions' trees. */
  readonly base: string;
  readonly next: string;
  /** A directory of the caller's own, for two files that are gone afterwards. */
  readonly scratch: string;
  /** Of zstd; absent: one for segments that are made once and sent often. */
  readonly level?: number;
  readonly signal: AbortSignal;
}

/** @throws when a tree lacks a piece: it is not the one of the manifest */
export async function packSegment(source: SegmentSource, target: string): Promise<void> {
  const { segment, base, next, scratch, level, signal } = source;
  const [reference, content] = [join(scratch, 'reference'), join(scratch, 'content')];
  try {
    await copyPieces(base, segment.references, reference, signal);
    await copyPieces(next, segment.targets, content, signal);
    await compressAgainst(reference, content, target, { bytes: segment.targetBytes, level }, signal);
  } finally {
    await Promise.all([rm(reference, { force: true }), rm(content, { force: true })]);
  }
}

export interface SegmentUse {
  readonly segment: DeltaSegment;
  /** The packed segment: whatever a source sent. */
  readonly file: string;
  /** Root directory of the base's verified tree. */
  readonly base: string;
  /** Of each file that the segment has a piece of: what the signed manifest says. */
  readonly contentOf: (path: string) => { readonly digest: Digest; readonly size: number };
  /** Where contents are written; named by {@link contentName}. */
  readonly contents: string;
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/**
 * Writes the contents that the segment holds. A file that has one piece is verified as it is written; one in several
 * pieces when its last one is there: pieces are in the order of their offsets. The contents are not synced.
 * @returns a problem for people when the segment does not unpack to what the manifest says; what it has written is
 * garbage then
 */
export async function unpackSegment(use: SegmentUse): Promise<Expansion> {
  const { segment, file, base, scratch, signal } = use;
  const reference = join(scratch, 'reference');
  const writer = new ContentWriter(use);
  try {
    await copyPieces(base, segment.references, reference, signal);
    const expanded = await expandAgainst(reference, file, segment.targetBytes, (chunk) => writer.write(chunk), signal);
    return expanded.ok ? await writer.finish() : expanded;
  } finally {
    await writer.abandon();
    await rm(reference, { force: true });
  }
}

/** File name of a content: 64 hexadecimal digits. */
export function contentName(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

const BLOCK = 1024 ** 2;

async function copyPieces(root: string, pieces: readonly Piece[], target: string, signal: AbortSignal): Promise<void> {
  const out = await open(target, 'w', 0o600);
  try {
    const block = Buffer.alloc(BLOCK);
    for (const piece of pieces) {
      signal.throwIfAborted();
      const from = await open(join(root, piece.path), constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        await copyRange(from, piece, block, out);
      } finally {
        await from.close();
      }
    }
  } finally {
    await out.close();
  }
}

async function copyRange(from: FileHandle, piece: Piece, block: Buffer, out: FileHandle): Promise<void> {
  for (let done = 0; done < piece.bytes;) {
    const wanted = Math.min(block.length, piece.bytes - done);
    const { bytesRead } = await from.read(block, 0, wanted, piece.offset + done);
    if (bytesRead === 0) throw new Error(`${piece.path} ends before byte ${piece.offset + piece.bytes}`);
    await out.write(block, 0, bytesRead);
    done += bytesRead;
  }
}

/** Divides the unpacked bytes among the contents that they belong to. */
class ContentWriter {
  private index = 0;
  private written = 0;
  private file: FileHandle | undefined;
  private hash: Hash | undefined;

  constructor(private readonly use: SegmentUse) {}

  /** @returns a problem, and nothing more is to be written */
  async write(chunk: Buffer): Promise<string | undefined> {
    for (let offset = 0; offset < chunk.length;) {
      const piece = this.use.segment.targets[this.index];
      if (!piece) return 'the segment unpacks to more than the manifest says';
      this.file ??= await this.begin(piece);
      const part = chunk.subarray(offset, offset + piece.bytes - this.written);
      this.hash?.update(part);
      await this.file.write(part, 0, part.length, piece.offset + this.written);
      this.written += part.length;
      offset += part.length;
      if (this.written === piece.bytes) {
        const problem = await this.end(piece);
        if (problem !== undefined) return problem;
      }
    }
    return undefined;
  }

  async finish(): Promise<Expansion> {
    const missing = this.use.segment.targets[this.index];
    return missing ? { ok: false, message: `the segment ends before ${missing.path}` } : { ok: true };
  }

  async abandon(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }

  private begin(piece: Piece): Promise<FileHandle> {
    const { size } = this.use.contentOf(piece.path);
    this.hash = piece.bytes === size ? createHash('sha256') : undefined;
    return open(this.pathOf(piece), piece.offset === 0 ? 'w' : 'r+', 0o600);
  }

  private async end(piece: Piece): Promise<string | undefined> {
    const { digest, size } = this.use.contentOf(piece.path);
    await this.abandon();
    const hash = this.hash;
    this.hash = undefined;
    this.written = 0;
    this.index += 1;
    if (piece.offset + piece.bytes < size) return undefined;
    const found = `sha256:${hash ? hash.digest('hex') : await digestOf(this.pathOf(piece), this.use.signal)}`;
    return found === digest ? undefined : `${piece.path} unpacks to the digest ${found}, the manifest has ${digest}`;
  }

  private pathOf(piece: Piece): string {
    return join(this.use.contents, contentName(this.use.contentOf(piece.path).digest));
  }
}

async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: BLOCK, autoClose: false, signal }))
      hash.update(chunk as Buffer);
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** A document against the base's, such as the manifest, which is as large as a small update's files. */
export async function packDocument(base: string, next: string, target: string, signal: AbortSignal): Promise<void> {
  const { length } = await readFile(next);
  await compressAgainst(base, next, target, { bytes: length }, signal);
}

/** @param bytes how many the signed statement says; the caller compares the digest */
export async function unpackDocument(
  base: string,
  file: string,
  bytes: number,
  signal: AbortSignal,
): Promise<Expansion & { readonly document?: Buffer }> {
  const chunks: Buffer[] = [];
  const expanded = await expandAgainst(
    base,
    file,
    bytes,
    (chunk) => {
      chunks.push(chunk);
      return Promise.resolve(undefined);
    },
    signal,
  );
  return expanded.ok ? { ok: true, document: Buffer.concat(chunks) } : expanded;
}
