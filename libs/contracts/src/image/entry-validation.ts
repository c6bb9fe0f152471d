/** Are these the entries of a tree that an image may have? Part of the manifest's validation. */
import { capabilityProblem } from './file-capability.js';
import { type Add, isCount, isObject } from './json-checks.js';
import { MANIFEST_LIMITS } from './manifest-limits.js';
import type { ManifestEntry } from './manifest.js';
import { DIGEST_PATTERN } from '../values.js';

const ENTRY_FIELDS = {
  file: ['path', 'type', 'mode', 'uid', 'gid', 'mtime', 'size', 'digest'],
  directory: ['path', 'type', 'mode', 'uid', 'gid', 'mtime'],
  symlink: ['path', 'type', 'mode', 'uid', 'gid', 'mtime', 'target'],
} as const;

const SCHEMA_2_FILE_FIELDS = ['link', 'capability'] as const;
/** What a further name of a file has in common with the file: all but `path`, `type` and `link`. */
const SHARED_BY_LINKS = ['mode', 'uid', 'gid', 'mtime', 'size', 'digest', 'capability'] as const;

/**
 * @param first of schema 1, which knows neither links nor capabilities
 * @returns the entries when they are sound, else an empty list
 */
export function checkEntries(value: unknown, first: boolean, add: Add): readonly ManifestEntry[] {
  if (!Array.isArray(value) || value.length === 0) {
    add('entries: must be a list of at least the root directory');
    return [];
  }
  if (value.length > MANIFEST_LIMITS.entries) {
    add(`entries: must be at most ${MANIFEST_LIMITS.entries}`);
    return [];
  }
  const directories = new Set<string>();
  const files = new LinkedFiles();
  let previous: string | undefined;
  let sound = true;
  for (const [index, entry] of (value as unknown[]).entries()) {
    const problem =
      entryProblem(entry, first) ??
      orderProblem(entry as ManifestEntry, previous, directories) ??
      files.problem(entry as ManifestEntry);
    if (problem !== undefined) {
      const path =
        isObject(entry) && typeof entry['path'] === 'string' ? ` (${JSON.stringify(entry['path'].slice(0, 200))})` : '';
      add(`entries[${index}]${path}: ${problem}`);
      sound = false;
      // Without a path the rest can't be placed.
      if (!isObject(entry) || typeof entry['path'] !== 'string') continue;
    }
    const { path, type } = entry as ManifestEntry;
    previous = path;
    if (type === 'directory') directories.add(path);
  }
  if (!directories.has('.')) {
    add("entries: the root '.' must be a directory");
    sound = false;
  }
  return sound ? (value as ManifestEntry[]) : [];
}

type FileEntry = Extract<ManifestEntry, { type: 'file' }>;

/** The files that entries so far stand for, each with the number of its names. */
class LinkedFiles {
  private readonly files = new Map<string, { readonly entry: FileEntry; names: number }>();

  /** Takes note of a file. @returns what is wrong with a link, or undefined */
  problem(entry: ManifestEntry): string | undefined {
    if (entry.type !== 'file') return undefined;
    if (entry.link === undefined) {
      this.files.set(entry.path, { entry, names: 1 });
      return undefined;
    }
    const file = this.files.get(entry.link);
    if (!file) return 'link must name an earlier file that is no link';
    if (++file.names > MANIFEST_LIMITS.links) return `link must be one of at most ${MANIFEST_LIMITS.links} names`;
    const other = SHARED_BY_LINKS.find((field) => entry[field] !== file.entry[field]);
    return other === undefined ? undefined : `${other} must be that of the file it links to`;
  }
}

function entryProblem(entry: unknown, first: boolean): string | undefined {
  if (!isObject(entry)) return 'must be an object';
  const type = entry['type'];
  if (type !== 'file' && type !== 'directory' && type !== 'symlink') return 'type must be file, directory or symlink';
  const allowed: readonly string[] =
    type === 'file' && !first ? [...ENTRY_FIELDS.file, ...SCHEMA_2_FILE_FIELDS] : ENTRY_FIELDS[type];
  const foreign = Object.keys(entry).find((key) => !allowed.includes(key));
  if (foreign !== undefined) return `has the unknown field ${JSON.stringify(foreign.slice(0, 40))}`;
  const path = pathProblem(entry['path']);
  if (path !== undefined) return path;
  if (!isCount(entry['mode'], 0, 0o7777)) return 'mode must be permission bits, 0 to 0o7777';
  if (!isCount(entry['uid'], 0, MANIFEST_LIMITS.ownerId) || !isCount(entry['gid'], 0, MANIFEST_LIMITS.ownerId)) {
    return `uid and gid must be 0 to ${MANIFEST_LIMITS.ownerId}`;
  }
  if (!isCount(entry['mtime'], 0, MANIFEST_LIMITS.mtime))
    return `mtime must be whole seconds, 0 to ${MANIFEST_LIMITS.mtime}`;
  if (type === 'file') {
    if (!isCount(entry['size'], 0, MANIFEST_LIMITS.contentBytes))
      return `size must be 0 to ${MANIFEST_LIMITS.contentBytes}`;
    if (typeof entry['digest'] !== 'string' || !DIGEST_PATTERN.test(entry['digest']))
      return 'digest must be a SHA-256 digest';
    if (entry['link'] !== undefined && typeof entry['link'] !== 'string') return 'link must be a path of the manifest';
    if (entry['capability'] !== undefined) return capabilityProblem(entry['capability']);
  }
  if (type === 'symlink') {
    const target = entry['target'];
    if (typeof target !== 'string' || target === '' || target.includes('\0') || byteLength(target) > 4_095) {
      return 'target must be 1 to 4,095 bytes without NUL';
    }
  }
  return undefined;
}

/** A normal path below `root/`: no empty, `.` or `..` component, no slash at either end, no control characters. */
export function pathProblem(path: unknown): string | undefined {
  if (typeof path !== 'string' || path === '') return 'path must not be empty';
  if (path === '.') return undefined;
  if (path.length > MANIFEST_LIMITS.pathBytes || byteLength(path) > MANIFEST_LIMITS.pathBytes)
    return `path must be at most ${MANIFEST_LIMITS.pathBytes} bytes`;
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
  if (/[\0-\x1f\x7f]/.test(path)) return 'path must not hold control characters';
  if (/\p{Surrogate}/u.test(path)) return 'path must be well-formed Unicode';
  const components = path.split('/');
  if (components.length > MANIFEST_LIMITS.depth) return `path must be at most ${MANIFEST_LIMITS.depth} levels deep`;
  for (const component of components) {
    if (component === '') return 'path must be relative and normal';
    if (component === '.' || component === '..') return `path must not have a component ${component}`;
    if (byteLength(component) > MANIFEST_LIMITS.componentBytes)
      return `a component must be at most ${MANIFEST_LIMITS.componentBytes} bytes`;
  }
  return undefined;
}

/** Sorted and unique at once; parents come first in that order, so each is known when its children are looked at. */
function orderProblem(
  { path }: ManifestEntry,
  previous: string | undefined,
  directories: ReadonlySet<string>,
): string | undefined {
  if (previous !== undefined && comparePaths(previous, path) >= 0)
    return previous === path ? 'path stands twice' : 'entries must be sorted by path (bytes)';
  const slash = path.lastIndexOf('/');
  if (slash >= 0 && !directories.has(path.slice(0, slash))) return 'its parent must be a directory of the manifest';
  return undefined;
}

/** Order of the UTF-8 bytes, which is not the order of UTF-16 code units. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x === y) continue;
    // Surrogates stand for code points above every other unit.
    const [highX, highY] = [x >= 0xd800 && x < 0xe000, y >= 0xd800 && y < 0xe000];
    if (highX !== highY) return highX ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}
