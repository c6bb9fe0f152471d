/**
 * What a new version differs by from one that is here: downloaded, unpacked, verified. A delta saves bytes and nothing
 * else: whatever is wrong with one, the whole archive is what remains.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ImageManifest, type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import {
  DELTA_FILES,
  deltaBytes,
  type DeltaFile,
  type DeltaIndex,
  MAX_INDEX_BYTES,
  parseDeltaIndex,
  planDelta,
  unpackDocument,
  unpackSegment,
} from '@plinth/image-delta';
import { fileFailure } from '@plinth/image-store';
import { digestOf } from '@plinth/image-trust';
import { done, failed, type Outcome } from './domain/failure.js';
import { parseDocument } from './domain/json-document.js';
import type { ImageVersion } from './domain/store-layout.js';
import { downloadFile } from './archive-download.js';
import { fileUrl, readUnlessMaking, type Transfer } from './repository-client.js';

export interface DeltaRequest {
  /** Base URL of the new version in a repository. */
  readonly source: string;
  /** Verified. */
  readonly statement: SignedStatement;
  /** A complete version that is here, and its directory. */
  readonly base: ImageVersion;
  readonly baseDirectory: string;
  readonly baseManifest: ImageManifest;
  /** An existing directory of the caller's: downloads stay there to be continued. */
  readonly staging: string;
  /** Checks the manifest against the statement. */
  readonly readManifest: (bytes: Buffer) => Outcome<ImageManifest>;
  readonly transfer: Transfer;
  /** Called once, with the bytes of all that is sent. */
  readonly onTotal?: (bytes: number) => void;
  readonly onBytes: (count: number) => void;
}

export interface UnpackedDelta {
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly mountScript: Buffer;
  /** Holds each content that the base lacks, named by its digest; verified, not synced. */
  readonly contents: string;
}

/** Names of downloads that are continued begin with it. */
export const DELTA_PART = 'delta-';

/** A source that has begun to make the delta is asked again for this long. */
const MAKING_MS = 20_000;
const ASK_AGAIN_MS = 500;

export async function downloadDelta(request: DeltaRequest): Promise<Outcome<UnpackedDelta>> {
  const { baseManifest, statement, transfer } = request;
  try {
    const index = await readIndex(request);
    if (!index.ok) return index;
    if (index.value.base !== baseManifest.contentDigest || index.value.next !== statement.contentDigest)
      return failed('manifest-mismatch', `the delta from ${request.source} is between other versions`);
    if (deltaBytes(index.value) >= statement.archiveBytes)
      return failed('wrong-size', `the delta from ${request.source} is larger than the archive`);
    request.onTotal?.(deltaBytes(index.value));
    return await unpack(request, index.value);
  } catch (error) {
    transfer.signal.throwIfAborted();
    return fileFailure(error, 'the delta could not be unpacked');
  }
}

async function unpack(request: DeltaRequest, index: DeltaIndex): Promise<Outcome<UnpackedDelta>> {
  const { baseDirectory, statement, staging, transfer } = request;
  const manifestBytes = await document(request, index.manifest, DELTA_FILES.manifest, {
    base: join(baseDirectory, VERSION_FILES.manifest),
    bytes: statement.manifestBytes,
  });
  if (!manifestBytes.ok) return manifestBytes;
  const read = request.readManifest(manifestBytes.value);
  if (!read.ok) return read;
  const manifest = read.value;
  const mountScript = await document(request, index.mountScript, DELTA_FILES.mountScript, {
    base: join(baseDirectory, VERSION_FILES.mountScript),
    bytes: manifest.mountScript.bytes,
  });
  if (!mountScript.ok) return mountScript;
  if (digestOf(mountScript.value) !== manifest.mountScript.digest)
    return failed('digest-mismatch', 'the mount script of the delta is not the one of the manifest');

  const segments = planDelta(request.baseManifest.entries, manifest.entries);
  if (segments.length !== index.segments.length)
    return failed(
      'manifest-mismatch',
      `the delta from ${request.source} has ${index.segments.length} segments, ${segments.length} were expected`,
    );
  const files = new Map(manifest.entries.flatMap((entry) => (entry.type === 'file' ? [[entry.path, entry]] : [])));
  const [contents, scratch] = [join(staging, 'contents'), join(staging, 'unpacking')];
  for (const directory of [contents, scratch]) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true, mode: 0o700 });
  }
  for (const [number, segment] of segments.entries()) {
    const packed = index.segments[number];
    if (!packed) throw new Error('a segment has no number');
    const name = DELTA_FILES.segment(number);
    const downloaded = await download(request, packed, name);
    if (!downloaded.ok) return downloaded;
    const unpacked = await unpackSegment({
      segment,
      file: downloaded.value,
      base: join(baseDirectory, VERSION_FILES.root),
      contentOf: (path) => {
        const entry = files.get(path);
        if (!entry) throw new Error(`${path} is in the plan, but not in the manifest`);
        return entry;
      },
      ...{ contents, scratch, signal: transfer.signal },
    });
    if (!unpacked.ok) return failed('digest-mismatch', `${name} from ${request.source}: ${unpacked.message}`);
    await rm(downloaded.value, { force: true });
  }
  return done({ manifest, manifestBytes: manifestBytes.value, mountScript: mountScript.value, contents });
}

async function readIndex(request: DeltaRequest): Promise<Outcome<DeltaIndex>> {
  const { source, statement, transfer } = request;
  const url = urlOf(request, DELTA_FILES.index);
  for (const end = performance.now() + MAKING_MS; ;) {
    const bytes = await readUnlessMaking(url, Math.min(MAX_INDEX_BYTES, statement.archiveBytes), transfer);
    if (!bytes.ok) return bytes;
    if (bytes.value !== 'making') {
      const index = parseDeltaIndex(parseDocument(bytes.value));
      return index ? done(index) : failed('bad-manifest', `${url.href} is no index of a delta of a known format`);
    }
    if (performance.now() > end) return failed('repository-refused', `${source} takes too long to make the delta`);
    await delay(ASK_AGAIN_MS, undefined, { signal: transfer.signal });
  }
}

async function document(
  request: DeltaRequest,
  packed: DeltaFile,
  name: string,
  { base, bytes }: { readonly base: string; readonly bytes: number },
): Promise<Outcome<Buffer>> {
  const downloaded = await download(request, packed, name);
  if (!downloaded.ok) return downloaded;
  const unpacked = await unpackDocument(base, downloaded.value, bytes, request.transfer.signal);
  if (unpacked.ok && unpacked.document) return done(unpacked.document);
  return failed('digest-mismatch', `${name} from ${request.source}: ${unpacked.ok ? 'is empty' : unpacked.message}`);
}

/** @returns the path of the downloaded file */
async function download(request: DeltaRequest, expected: DeltaFile, name: string): Promise<Outcome<string>> {
  const part = join(request.staging, `${DELTA_PART}${name}`);
  const file = { ...expected, is: 'promised' } as const;
  const downloaded = await downloadFile(urlOf(request, name), file, part, request.transfer, request.onBytes);
  return downloaded.ok ? done(part) : downloaded;
}

function urlOf({ source, base }: DeltaRequest, file: string): URL {
  return fileUrl(`${source}/delta/${base.name}@${base.version}`, file);
}
