/**
 * Is this JSON a manifest that an image may be made from? Everything that a path, a size or a mount could be abused for
 * is refused here, once; code that holds a validated manifest may build paths from it below a directory of its own.
 */
import { environmentProblem } from '../rules.js';
import { checkEntries, pathProblem } from './entry-validation.js';
import { type Add, checkFields, isCount, isObject, type Json } from './json-checks.js';
import { MANIFEST_LIMITS } from './manifest-limits.js';
import { checkRunSettings, SCHEMA_2_SETTINGS } from './run-settings.js';
import {
  contentBytes,
  contentDigestInput,
  type ImageManifest,
  type ManifestEntry,
  MOUNTED_BY_THE_HOST,
  type MountPlan,
  REQUIRED_MOUNT_POINTS,
  type WritablePlace,
} from './manifest.js';
import {
  ARCHITECTURE_PATTERN,
  DIGEST_PATTERN,
  type Digest,
  EXACT_IMAGE_REF_PATTERN,
  isTimezone,
  NAME_PATTERN,
  VERSION_PATTERN,
} from '../values.js';

export type CheckedManifest =
  | { readonly ok: true; readonly manifest: ImageManifest }
  /** Sentences, each beginning with where; at most 20. */
  | { readonly ok: false; readonly problems: readonly string[] };

const MAX_PROBLEMS = 20;

/** @param digestOf `sha256:<hex>` of the UTF-8 form of a text */
export function validateManifest(value: unknown, digestOf: (text: string) => Digest): CheckedManifest {
  const problems: string[] = [];
  const add = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem);
  };
  if (!isObject(value)) return { ok: false, problems: ['must be a JSON object'] };
  checkHead(value, add);
  const entries = checkEntries(value['entries'], value['schema'] === 1, add);
  checkTotals(value['totals'], entries, add);
  checkMountPlan(value['mountPlan'], add);
  // What follows reads the value by its declared type.
  if (problems.length > 0) return { ok: false, problems };
  const manifest = value as unknown as ImageManifest;
  checkMountPoints(manifest, add);
  if (digestOf(contentDigestInput(manifest)) !== manifest.contentDigest)
    add('contentDigest: is not the digest of the content');
  return problems.length > 0 ? { ok: false, problems } : { ok: true, manifest };
}

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
  ...SCHEMA_2_SETTINGS,
  'totals',
  'entries',
] as const;

function checkHead(value: Json, add: Add): void {
  checkFields(value, HEAD_FIELDS, '', add);
  if (value['schema'] !== 1 && value['schema'] !== 2) add('schema: must be 1 or 2');
  for (const field of SCHEMA_2_SETTINGS)
    if (value['schema'] === 1 && value[field] !== undefined) add(`${field}: is not known in schema 1`);
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
  checkRunSettings(value, add);
  const environment = environmentProblem(value['environment']);
  if (environment) add(`environment: ${environment}`);
  if (typeof value['timezone'] !== 'string' || !isTimezone(value['timezone']))
    add('timezone: must be an IANA time zone');
  const script = value['mountScript'];
  if (!isObject(script)) return add('mountScript: must be an object');
  checkFields(script, ['digest', 'bytes', 'custom'], 'mountScript.', add);
  if (typeof script['digest'] !== 'string' || !DIGEST_PATTERN.test(script['digest']))
    add('mountScript.digest: must be a SHA-256 digest');
  if (!isCount(script['bytes'], 1, MANIFEST_LIMITS.mountScriptBytes))
    add(`mountScript.bytes: must be 1 to ${MANIFEST_LIMITS.mountScriptBytes}`);
  if (typeof script['custom'] !== 'boolean') add('mountScript.custom: must be true or false');
}

function checkTotals(value: unknown, entries: readonly ManifestEntry[], add: Add): void {
  if (!isObject(value)) return add('totals: must be an object');
  checkFields(value, ['entries', 'bytes'], 'totals.', add);
  if (entries.length === 0) return;
  const bytes = contentBytes(entries);
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

/**
 * What a container mounts on exists as a real directory; no part of its path can be a symlink, because parents are
 * directories.
 */
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

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
