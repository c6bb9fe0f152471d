/**
 * Is this JSON a manifest that an image may be made from? Everything that a path, a size or a mount could be abused for is
 * refused here, once; whoever holds a validated manifest may build paths from it below a directory of its own.
 */
import { environmentProblem } from '../rules.js';
import {
  contentDigestInput,
  type ImageManifest,
  type ManifestEntry,
  MOUNTED_BY_THE_HOST,
  type MountPlan,
  REQUIRED_MOUNT_POINTS,
  type WritablePlace,
} from './manifest.js';
import {
  DIGEST_PATTERN,
  type Digest,
  EXACT_IMAGE_REF_PATTERN,
  isTimezone,
  NAME_PATTERN,
  VERSION_PATTERN,
} from '../values.js';

/** Bounds that no honest image comes near; a manifest beyond them is refused before anything is made. */
export const MANIFEST_LIMITS = {
  /** Size of `manifest.json`, bytes. */
  manifestBytes: 128 * 1024 ** 2,
  entries: 1_000_000,
  /** Of one path, bytes; well below PATH_MAX with the master repository's own path before it. */
  pathBytes: 2_048,
  /** NAME_MAX of Linux file systems. */
  componentBytes: 255,
  depth: 64,
  /** Of one file, and of all files together. */
  contentBytes: 1024 ** 4,
  /** A user namespace has 65,536 ids: owners beyond could not be mapped. */
  ownerId: 65_535,
  /** 11 octal digits, what a ustar header holds. */
  mtime: 8 ** 11 - 1,
  mountScriptBytes: 1024 ** 2,
  places: 64,
  placeBytes: 16 * 1024 ** 3,
  placeInodes: 10_000_000,
} as const;

export type CheckedManifest =
  | { readonly ok: true; readonly manifest: ImageManifest }
  /** Sentences, each beginning with where; at most 20. */
  | { readonly ok: false; readonly problems: readonly string[] };

const MAX_PROBLEMS = 20;
const ARCHITECTURE_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
const SIGNAL_PATTERN = /^SIG[A-Z0-9+-]{2,10}$/;

/** @param digestOf `sha256:<hex>` of the UTF-8 form of a text */
export function validateManifest(value: unknown, digestOf: (text: string) => Digest): CheckedManifest {
  const problems: string[] = [];
  const add = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem);
  };
  if (!isObject(value)) return { ok: false, problems: ['must be a JSON object'] };
  checkHead(value, add);
  const entries = checkEntries(value['entries'], add);
  checkTotals(value['totals'], entries, add);
  checkMountPlan(value['mountPlan'], add);
  // What follows reads the whole as what it says it is.
  if (problems.length > 0) return { ok: false, problems };
  const manifest = value as unknown as ImageManifest;
  checkMountPoints(manifest, add);
  if (digestOf(contentDigestInput(manifest)) !== manifest.contentDigest)
    add('contentDigest: is not the digest of the content');
  return problems.length > 0 ? { ok: false, problems } : { ok: true, manifest };
}

type Add = (problem: string) => void;
type Json = Record<string, unknown>;

const HEAD_FIELDS = [
  'schema',
  'name',
  'version',
  'architecture',
  'contentDigest',
  'recipeDigest',
  'parent',
  'mountPlan',
  'mountScript',
  'environment',
  'timezone',
  'command',
  'stopSignal',
  'totals',
  'entries',
] as const;

function checkHead(value: Json, add: Add): void {
  checkFields(value, HEAD_FIELDS, '', add);
  if (value['schema'] !== 1) add('schema: must be 1');
  const matches = (field: string, pattern: RegExp): void => {
    const text = value[field];
    if (typeof text !== 'string' || !pattern.test(text)) add(`${field}: must match ${String(pattern)}`);
  };
  matches('name', NAME_PATTERN);
  matches('version', VERSION_PATTERN);
  matches('architecture', ARCHITECTURE_PATTERN);
  matches('contentDigest', DIGEST_PATTERN);
  matches('recipeDigest', DIGEST_PATTERN);
  if (value['parent'] !== undefined) matches('parent', EXACT_IMAGE_REF_PATTERN);
  matches('stopSignal', SIGNAL_PATTERN);
  const environment = environmentProblem(value['environment']);
  if (environment) add(`environment: ${environment}`);
  if (typeof value['timezone'] !== 'string' || !isTimezone(value['timezone']))
    add('timezone: must be an IANA time zone');
  const command = value['command'];
  const words = Array.isArray(command) && command.length >= 1 && command.length <= 256 && command[0] !== '';
  if (!words || !command.every((word) => typeof word === 'string' && word.length <= 16_384 && !word.includes('\0'))) {
    add('command: must be a list of 1 to 256 words without NUL, the first not empty');
  }
  const script = value['mountScript'];
  if (!isObject(script)) return add('mountScript: must be an object');
  checkFields(script, ['digest', 'bytes', 'custom'], 'mountScript.', add);
  if (typeof script['digest'] !== 'string' || !DIGEST_PATTERN.test(script['digest']))
    add('mountScript.digest: must be a SHA-256 digest');
  if (!isCount(script['bytes'], 1, MANIFEST_LIMITS.mountScriptBytes))
    add(`mountScript.bytes: must be 1 to ${MANIFEST_LIMITS.mountScriptBytes}`);
  if (typeof script['custom'] !== 'boolean') add('mountScript.custom: must be true or false');
}

const ENTRY_FIELDS = {
  file: ['path', 'type', 'mode', 'uid', 'gid', 'mtime', 'size', 'digest'],
  directory: ['path', 'type', 'mode', 'uid', 'gid', 'mtime'],
  symlink: ['path', 'type', 'mode', 'uid', 'gid', 'mtime', 'target'],
} as const;

/** @returns the entries when they are sound, else an empty list */
function checkEntries(value: unknown, add: Add): readonly ManifestEntry[] {
  if (!Array.isArray(value) || value.length === 0) {
    add('entries: must be a list of at least the root directory');
    return [];
  }
  if (value.length > MANIFEST_LIMITS.entries) {
    add(`entries: must be at most ${MANIFEST_LIMITS.entries}`);
    return [];
  }
  const directories = new Set<string>();
  let previous: string | undefined;
  let sound = true;
  for (const [index, entry] of (value as unknown[]).entries()) {
    const problem = entryProblem(entry) ?? orderProblem(entry as ManifestEntry, previous, directories);
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

function entryProblem(entry: unknown): string | undefined {
  if (!isObject(entry)) return 'must be an object';
  const type = entry['type'];
  if (type !== 'file' && type !== 'directory' && type !== 'symlink') return 'type must be file, directory or symlink';
  const allowed: readonly string[] = ENTRY_FIELDS[type];
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
function pathProblem(path: unknown): string | undefined {
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

function checkTotals(value: unknown, entries: readonly ManifestEntry[], add: Add): void {
  if (!isObject(value)) return add('totals: must be an object');
  checkFields(value, ['entries', 'bytes'], 'totals.', add);
  if (entries.length === 0) return;
  const bytes = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
  if (value['entries'] !== entries.length) add(`totals.entries: must be ${entries.length}`);
  if (value['bytes'] !== bytes) add(`totals.bytes: must be ${bytes}`);
  if (bytes > MANIFEST_LIMITS.contentBytes) add(`totals.bytes: must be at most ${MANIFEST_LIMITS.contentBytes}`);
}

function checkMountPlan(value: unknown, add: Add): void {
  if (!isObject(value)) return add('mountPlan: must be an object');
  checkFields(value, ['schema', 'places'], 'mountPlan.', add);
  if (value['schema'] !== 1) add('mountPlan.schema: must be 1');
  const places = value['places'];
  if (!Array.isArray(places) || places.length > MANIFEST_LIMITS.places)
    return add(`mountPlan.places: must be a list of at most ${MANIFEST_LIMITS.places}`);
  for (const [index, place] of (places as unknown[]).entries()) {
    const problem = placeProblem(place, places.slice(0, index) as WritablePlace[]);
    if (problem !== undefined) add(`mountPlan.places[${index}]: ${problem}`);
  }
}

function placeProblem(place: unknown, before: readonly WritablePlace[]): string | undefined {
  if (!isObject(place)) return 'must be an object';
  const foreign = Object.keys(place).find((key) => !['path', 'bytes', 'inodes', 'content', 'mode'].includes(key));
  if (foreign !== undefined) return `has the unknown field ${JSON.stringify(foreign.slice(0, 40))}`;
  const path = place['path'];
  if (typeof path !== 'string' || !path.startsWith('/') || path === '/.' || pathProblem(path.slice(1)) !== undefined)
    return 'path must be absolute and normal, and not the root';
  // Mount options are separated by commas, and the kernel's mount table by spaces and backslashes.
  if (!/^[A-Za-z0-9._/+@-]+$/.test(path)) return 'path must hold only letters, digits and . _ / + @ -';
  if (MOUNTED_BY_THE_HOST.some((reserved) => isWithin(path, `/${reserved}`)))
    return `path must not lie in ${MOUNTED_BY_THE_HOST.map((name) => `/${name}`).join(', ')}`;
  if (!isCount(place['bytes'], 4_096, MANIFEST_LIMITS.placeBytes))
    return `bytes must be 4,096 to ${MANIFEST_LIMITS.placeBytes}`;
  if (!isCount(place['inodes'], 1, MANIFEST_LIMITS.placeInodes))
    return `inodes must be 1 to ${MANIFEST_LIMITS.placeInodes}`;
  if (!isCount(place['mode'], 0, 0o7777)) return 'mode must be permission bits, 0 to 0o7777';
  if (place['content'] !== 'copy' && place['content'] !== 'overlay' && place['content'] !== 'empty')
    return 'content must be copy, overlay or empty';
  if (before.some((other) => other.path === path)) return 'path stands twice';
  if (before.some((other) => isWithin(other.path, path))) return 'a parent must stand before its children';
  return undefined;
}

/** What a container mounts on exists as a real directory; no part of its path can be a symlink, because parents are directories. */
function checkMountPoints(manifest: ImageManifest, add: Add): void {
  const directories = new Set(
    manifest.entries.filter((entry) => entry.type === 'directory').map((entry) => entry.path),
  );
  for (const path of [...REQUIRED_MOUNT_POINTS, ...placePaths(manifest.mountPlan)]) {
    if (!directories.has(path)) add(`entries: ${JSON.stringify(path)} must be a directory, because it is mounted on`);
  }
}

function placePaths(plan: MountPlan): string[] {
  const known: readonly string[] = REQUIRED_MOUNT_POINTS;
  return plan.places.map((place) => place.path.slice(1)).filter((path) => !known.includes(path));
}

function checkFields(value: Json, allowed: readonly string[], prefix: string, add: Add): void {
  for (const key of Object.keys(value))
    if (!allowed.includes(key)) add(`${prefix}${key.slice(0, 40)}: is not a known field`);
}

function isObject(value: unknown): value is Json {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function isCount(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
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
