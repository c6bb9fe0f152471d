/** The files of a delta as a source offers them, and the list of them. Nothing in the list is believed. */
import type { Digest } from '@plinth/contracts';
import { isDigest } from '@plinth/image-trust';
import { DELTA_FORMAT } from './delta-plan.js';

export interface DeltaFile {
  readonly bytes: number;
  readonly digest: Digest;
}

/** `index.json`. The segments' content follows from the two manifests; see `planDelta`. */
export interface DeltaIndex {
  readonly format: typeof DELTA_FORMAT;
  /** Content digests of the version that the node has, and of the one that it shall have. */
  readonly base: Digest;
  readonly next: Digest;
  /** `manifest.json` against the base's. */
  readonly manifest: DeltaFile;
  /** `mount.sh` against the base's. */
  readonly mountScript: DeltaFile;
  readonly segments: readonly DeltaFile[];
}

/** Names below `…/delta/<base>/`. */
export const DELTA_FILES = {
  index: 'index.json',
  manifest: 'manifest.zst',
  mountScript: 'mount-script.zst',
  segment: (index: number): string => `segment-${index}.zst`,
} as const;

/** Whether it is a name that a delta may have a file of. */
export function isDeltaFile(name: string): boolean {
  const { index, manifest, mountScript } = DELTA_FILES;
  return name === index || name === manifest || name === mountScript || /^segment-(?:0|[1-9]\d{0,5})\.zst$/.test(name);
}

/** Most of `index.json`, bytes: room for the segments of an image of terabytes. */
export const MAX_INDEX_BYTES = 16 * 1024 ** 2;

/** Bytes on the wire of everything but the index. */
export function deltaBytes({ manifest, mountScript, segments }: DeltaIndex): number {
  return [manifest, mountScript, ...segments].reduce((sum, { bytes }) => sum + bytes, 0);
}

/** @returns undefined when the document, which a source sent, is no index of this format */
export function parseDeltaIndex(document: unknown): DeltaIndex | undefined {
  if (!isRecord(document)) return undefined;
  const { format, base, next, manifest, mountScript, segments } = document;
  if (format !== DELTA_FORMAT || !isDigest(base) || !isDigest(next)) return undefined;
  if (!isFile(manifest) || !isFile(mountScript) || !Array.isArray(segments) || !segments.every(isFile))
    return undefined;
  return { format: DELTA_FORMAT, base, next, manifest, mountScript, segments };
}

function isFile(value: unknown): value is DeltaFile {
  return (
    isRecord(value) && Number.isSafeInteger(value['bytes']) && Number(value['bytes']) >= 0 && isDigest(value['digest'])
  );
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
