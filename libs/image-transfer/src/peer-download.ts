/**
 * A version from machines that have it as a tree: segments of contents against a version that is here, or against
 * nothing. What a machine sends is believed for its digests only. Segments that are unpacked stay, so that the next
 * machine is asked for the rest.
 */
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageManifest, type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import { type DeltaSegment, planDelta, unpackDocument, unpackSegment } from '@plinth/image-delta';
import { fileFailure } from '@plinth/image-store';
import { digestOf } from '@plinth/image-trust';
import type { DeltaBase } from './delta-base.js';
import { done, failed, type Outcome } from './domain/failure.js';
import type { TryProgress } from './domain/installed.js';
import { manifestUrl, segmentUrl } from './domain/peer-paths.js';
import { downloadUpTo, fileUrl, readDocument, type Transfer } from './repository-client.js';

export interface PeerRequest {
  /** Verified. */
  readonly statement: SignedStatement;
  /** Absent: all contents are fetched. */
  readonly base?: DeltaBase;
  /** A directory of the caller's; made when it is not there. */
  readonly staging: string;
  /** Checks the manifest against the statement. */
  readonly readManifest: (bytes: Buffer) => Outcome<ImageManifest>;
  readonly transfer: Transfer;
  readonly onBytes: (count: number) => void;
  /** With each part that has come; bytes of contents. */
  readonly onProgress?: (progress: TryProgress) => void;
}

export interface PeerContents {
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly mountScript: Buffer;
  /** Holds each content that the base lacks, named by its digest; verified, not synced. */
  readonly contents: string;
}

interface ReadManifest {
  readonly value: ImageManifest;
  readonly bytes: Buffer;
}

/** A packed segment is hardly larger than what it unpacks to. */
const PACKING_MARGIN = 1024 ** 2;
/** The slowest that a machine near by may be, in the time in which a transfer stalls, bytes. */
const LEAST_BYTES = 512 * 1024;

export class PeerDownload {
  private manifest: ReadManifest | undefined;
  private mountScript: Buffer | undefined;
  private plan: readonly DeltaSegment[] | undefined;
  private readonly unpacked = new Set<number>();
  private readonly transfer: Transfer;

  constructor(private readonly request: PeerRequest) {
    this.transfer = { ...request.transfer, leastBytes: LEAST_BYTES };
  }

  /** Segments that are unpacked. */
  get progress(): number {
    return this.unpacked.size;
  }

  /**
   * Fetches what is still missing.
   * @param source base URL of the version at one machine
   * @returns `busy`: it asks to come again
   */
  async from(source: string): Promise<Outcome<PeerContents> | 'busy'> {
    try {
      const documents = await this.documents(source);
      if (documents === 'busy' || !documents.ok) return documents;
      const missing = await this.segments(source);
      if (missing !== undefined) return missing;
      return done({ ...documents.value, contents: this.contents });
    } catch (error) {
      this.transfer.signal.throwIfAborted();
      return fileFailure(error, 'the contents could not be unpacked');
    }
  }

  private get contents(): string {
    return join(this.request.staging, 'contents');
  }

  private async documents(source: string): Promise<Outcome<Omit<PeerContents, 'contents'>> | 'busy'> {
    const { onBytes } = this.request;
    if (!this.manifest) {
      const read = (await this.packedManifest(source)) ?? (await this.wholeManifest(source));
      if (read === 'busy' || !read.ok) return read;
      this.manifest = read.value;
    }
    const { value: manifest, bytes: manifestBytes } = this.manifest;
    if (!this.mountScript) {
      const { digest, bytes: length } = manifest.mountScript;
      const bytes = await readDocument(fileUrl(source, VERSION_FILES.mountScript), length, length, this.transfer);
      if (!bytes.ok) return bytes;
      if (digestOf(bytes.value) !== digest)
        return failed('digest-mismatch', `the mount script from ${source} is not the one of the manifest`);
      onBytes(bytes.value.length);
      this.mountScript = bytes.value;
    }
    return done({ manifest, manifestBytes, mountScript: this.mountScript });
  }

  /**
   * Against the manifest of the version that is here: it is nearly the same.
   * @returns undefined when it was not to be had so: the machine has another program or lacks that version, or what it
   * sent is not the one of the statement; the whole manifest is what remains
   */
  private async packedManifest(source: string): Promise<Outcome<ReadManifest> | 'busy' | undefined> {
    const { base, staging, statement, readManifest, onBytes } = this.request;
    if (!base) return undefined;
    await mkdir(staging, { recursive: true, mode: 0o700 });
    const part = join(staging, 'manifest.zst');
    try {
      const file = await open(part, 'w', 0o600);
      let received = 0;
      const counted = (count: number): void => void (received += count);
      const came = await downloadUpTo(
        manifestUrl(source, base.image.version),
        statement.manifestBytes,
        file,
        this.transfer,
        counted,
      ).finally(() => file.close());
      onBytes(received);
      if (came === 'busy') return came;
      if (!came.ok) return undefined;
      const known = join(base.directory, VERSION_FILES.manifest);
      const unpacked = await unpackDocument(known, part, statement.manifestBytes, this.transfer.signal);
      const read = unpacked.ok && unpacked.document ? readManifest(unpacked.document) : undefined;
      return read?.ok && unpacked.ok && unpacked.document
        ? done({ value: read.value, bytes: unpacked.document })
        : undefined;
    } finally {
      await rm(part, { force: true });
    }
  }

  private async wholeManifest(source: string): Promise<Outcome<ReadManifest>> {
    const { statement, readManifest, onBytes } = this.request;
    const { manifestBytes } = statement;
    const url = fileUrl(source, VERSION_FILES.manifest);
    const bytes = await readDocument(url, manifestBytes, manifestBytes, this.transfer);
    if (!bytes.ok) return bytes;
    const read = readManifest(bytes.value);
    if (!read.ok) return read;
    onBytes(bytes.value.length);
    return done({ value: read.value, bytes: bytes.value });
  }

  /** @returns undefined when all are there */
  private async segments(source: string): Promise<(Outcome<never> & { readonly ok: false }) | 'busy' | undefined> {
    const { base, staging } = this.request;
    const manifest = this.manifest?.value;
    if (!manifest) throw new Error('segments were asked for before the manifest');
    const scratch = join(staging, 'unpacking');
    if (!this.plan) {
      for (const directory of [this.contents, scratch]) {
        await rm(directory, { recursive: true, force: true });
        await mkdir(directory, { recursive: true, mode: 0o700 });
      }
      this.plan = planDelta(base?.manifest.entries ?? [], manifest.entries);
    }
    const files = new Map(manifest.entries.flatMap((entry) => (entry.type === 'file' ? [[entry.path, entry]] : [])));
    for (const [number, segment] of this.plan.entries()) {
      if (this.unpacked.has(number)) continue;
      const part = join(scratch, 'segment');
      const came = await this.download(source, segmentUrl(source, base?.image.version, number), segment, part);
      if (came === 'busy' || !came.ok) return came;
      const unpacked = await unpackSegment({
        segment,
        file: part,
        base: base ? join(base.directory, VERSION_FILES.root) : scratch,
        contentOf: (path) => {
          const entry = files.get(path);
          if (!entry) throw new Error(`${path} is in the plan, but not in the manifest`);
          return entry;
        },
        ...{ contents: this.contents, scratch, signal: this.transfer.signal },
      });
      if (!unpacked.ok) return failed('digest-mismatch', `segment ${number} from ${source}: ${unpacked.message}`);
      this.unpacked.add(number);
    }
    await rm(scratch, { recursive: true, force: true });
    return undefined;
  }

  private async download(
    source: string,
    url: URL,
    segment: DeltaSegment,
    part: string,
  ): Promise<Outcome<void> | 'busy'> {
    const file = await open(part, 'w', 0o600);
    let received = 0;
    this.show(source, 0);
    try {
      return await downloadUpTo(url, segment.targetBytes + PACKING_MARGIN, file, this.transfer, (count) => {
        received += count;
        this.request.onBytes(count);
        this.show(source, Math.min(received, segment.targetBytes));
      });
    } finally {
      await file.close();
    }
  }

  /** @param ofSegment bytes of the present one; packed, so fewer than it unpacks to */
  private show(source: string, ofSegment: number): void {
    const plan = this.plan ?? [];
    const sum = (segments: readonly DeltaSegment[]): number =>
      segments.reduce((bytes, { targetBytes }) => bytes + targetBytes, 0);
    const unpacked = sum(plan.filter((_, number) => this.unpacked.has(number)));
    this.request.onProgress?.({ source, bytes: unpacked + ofSegment, ofBytes: sum(plan) });
  }
}
