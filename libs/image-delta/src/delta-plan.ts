/**
 * Which bytes of a new version are sent to a node that has another one, and against which bytes of its own they are
 * compressed. Both ends compute the plan from the two manifests, so a delta says nothing about it that a node would
 * have to believe. The same manifests give the same plan; another algorithm has another {@link DELTA_FORMAT}.
 */
import type { Digest, ManifestEntry } from '@plinth/contracts';

/** Number of the algorithm below and of the way its segments are compressed. */
export const DELTA_FORMAT = 1;

/** A run of bytes of one file; `path` is the manifest's. */
export interface Piece {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The unit of compression, download and retry. */
export interface DeltaSegment {
  /** Of files of the base: the dictionary, one after the other. */
  readonly references: readonly Piece[];
  /** Of files of the new version: what the segment unpacks to, one after the other. */
  readonly targets: readonly Piece[];
  readonly referenceBytes: number;
  readonly targetBytes: number;
}

type FileEntry = ManifestEntry & { readonly type: 'file' };

export interface SegmentLimits {
  readonly targetBytes: number;
  readonly referenceBytes: number;
}

/**
 * Most that a segment unpacks to, and most of its dictionary, bytes. Together they bound the memory that either end
 * needs, and the work that is lost when a transfer breaks off.
 */
export const SEGMENT_LIMITS: SegmentLimits = { targetBytes: 32 * 1024 ** 2, referenceBytes: 64 * 1024 ** 2 };

/** A piece of a file in several pieces is compressed against more of the base's file: bytes may have moved. */
const reach = (limits: SegmentLimits): number => limits.targetBytes / 4;

/**
 * @param base entries of the version that the node has
 * @param next entries of the version that it shall have
 * @param limits others than the default make other segments: both ends have to agree on them
 * @returns segments that hold each content of `next` that `base` lacks exactly once, in a fixed order
 */
export function planDelta(
  base: readonly ManifestEntry[],
  next: readonly ManifestEntry[],
  limits: SegmentLimits = SEGMENT_LIMITS,
): DeltaSegment[] {
  const kept = digests(next);
  const references = candidates(files(base).filter(({ digest }) => !kept.has(digest)));
  const targets = lacking(base, next)
    .map((entry) => ({ entry, key: similarity(entry.path) }))
    .sort((one, other) => compare(one.key, other.key) || compare(one.entry.path, other.entry.path));
  const segments = new SegmentWriter(limits);
  for (const { entry, key } of targets) segments.add(entry, choose(entry, references.get(key) ?? [], limits));
  return segments.finish();
}

/** The first file of `next` for each content that no file of `base` has. Empty files have nothing to be sent. */
function lacking(base: readonly ManifestEntry[], next: readonly ManifestEntry[]): FileEntry[] {
  const seen = digests(base);
  return files(next).filter(({ digest, size }) => size > 0 && !seen.has(digest) && seen.add(digest));
}

/** Files by what their names have in common. */
function candidates(entries: readonly FileEntry[]): ReadonlyMap<string, readonly FileEntry[]> {
  const found = new Map<string, FileEntry[]>();
  for (const entry of entries) {
    const key = similarity(entry.path);
    const same = found.get(key);
    if (same) same.push(entry);
    else found.set(key, [entry]);
  }
  return found;
}

/**
 * The file of the same name, else those whose names differ in numbers only, as long as they are not much larger; of a
 * large file one, because each of its pieces has a dictionary of its own.
 */
function choose(target: FileEntry, similar: readonly FileEntry[], limits: SegmentLimits): readonly FileEntry[] {
  const same = similar.find(({ path }) => path === target.path);
  if (same) return [same];
  if (!isWhole(target, limits)) return similar.slice(0, 1);
  let room = 2 * target.size + 64 * 1024;
  return similar.filter((file) => isWhole(file, limits) && (room -= file.size) >= 0);
}

/** `usr/lib/libssl.so.3.0.11` and `usr/lib/libssl.so.3.0.13` have the same one. */
const similarity = (path: string): string => path.replace(/\d+/g, '#');

/** Compared as a whole; a larger one in pieces. */
const isWhole = ({ size }: FileEntry, limits: SegmentLimits): boolean => size <= limits.targetBytes;

class SegmentWriter {
  private readonly finished: DeltaSegment[] = [];
  private targets: Piece[] = [];
  private targetBytes = 0;
  private references = new Map<string, Piece>();
  private referenceBytes = 0;

  constructor(private readonly limits: SegmentLimits) {}

  add(entry: FileEntry, similar: readonly FileEntry[]): void {
    for (let offset = 0; offset < entry.size; offset += this.limits.targetBytes) {
      const bytes = Math.min(this.limits.targetBytes, entry.size - offset);
      const pieces = similar.flatMap((file) => around(file, entry, offset, bytes, this.limits));
      const needed = pieces.reduce((total, piece) => total + piece.bytes, 0);
      const fits =
        this.targetBytes + bytes <= this.limits.targetBytes &&
        this.referenceBytes + needed <= this.limits.referenceBytes;
      if (!fits) this.close();
      this.targets.push({ path: entry.path, offset, bytes });
      this.targetBytes += bytes;
      for (const piece of pieces) this.refer(piece);
    }
  }

  finish(): DeltaSegment[] {
    this.close();
    return this.finished;
  }

  private refer(piece: Piece): void {
    const id = `${piece.offset} ${piece.path}`;
    if (this.references.has(id)) return;
    this.references.set(id, piece);
    this.referenceBytes += piece.bytes;
  }

  private close(): void {
    if (this.targets.length === 0) return;
    const { targets, references, referenceBytes, targetBytes } = this;
    this.finished.push({ references: [...references.values()], targets, referenceBytes, targetBytes });
    this.targets = [];
    this.targetBytes = 0;
    this.references = new Map();
    this.referenceBytes = 0;
  }
}

/** All of a file when two whole ones are compared; else what lies near the same place. */
function around(file: FileEntry, target: FileEntry, offset: number, bytes: number, limits: SegmentLimits): Piece[] {
  const whole = isWhole(target, limits) && isWhole(file, limits);
  const start = whole ? 0 : Math.max(0, offset - reach(limits));
  const end = whole ? file.size : Math.min(file.size, offset + bytes + reach(limits));
  return end > start ? [{ path: file.path, offset: start, bytes: end - start }] : [];
}

const files = (entries: readonly ManifestEntry[]): FileEntry[] =>
  entries.filter((entry): entry is FileEntry => entry.type === 'file' && entry.link === undefined);
const digests = (entries: readonly ManifestEntry[]): Set<Digest> => new Set(files(entries).map(({ digest }) => digest));
/** By code units: the same everywhere, whatever the locale. */
const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);
