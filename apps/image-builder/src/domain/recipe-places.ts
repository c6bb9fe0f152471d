/** Writable places: those of a recipe, and what an image gets when it names none. */
import { MANIFEST_LIMITS, type PlaceContent } from '@plinth/contracts';
import { Fields } from './recipe-fields.js';
import { parseMode, parseSize, placePathProblem } from './recipe-paths.js';
import type { RecipePlace } from './recipe.js';

const CONTENTS: readonly string[] = ['overlay', 'copy', 'empty'] satisfies PlaceContent[];
const MEBIBYTE = 1024 ** 2;
const DEFAULT_BYTES = 16 * MEBIBYTE;
const MIN_BYTES = 64 * 1024;
const MAX_BYTES = 2 * 1024 ** 3;
const MAX_INODES = 4_000_000;
/** One inode for each 4 KiB, as tmpfs itself does by default for a memory of that size. */
const inodesFor = (bytes: number): number => Math.max(256, Math.min(Math.floor(bytes / 4096), MAX_INODES));

const place = (path: string, mebibytes: number, content: PlaceContent, mode?: number): RecipePlace => {
  const bytes = mebibytes * MEBIBYTE;
  return { path, bytes, inodes: inodesFor(bytes), content, mode };
};

/** Always writable: the time zone and the environment of each container are set in it. */
const ETC = place('/etc', 16, 'overlay');

/** Directories that Debian expects to be writable. */
export const DEFAULT_PLACES: readonly RecipePlace[] = [
  ETC,
  place('/root', 8, 'overlay'),
  place('/run', 16, 'empty', 0o755),
  place('/tmp', 64, 'empty', 0o1777),
  place('/var', 64, 'overlay'),
];

/** Sorted so that a parent stands before its children; with /etc in any case. */
export function readPlaces(parent: Fields): RecipePlace[] {
  const { problems } = parent;
  const places = parent.list('writable', MANIFEST_LIMITS.places, (item, path) => readPlace(item, path, parent));
  const seen = new Set<string>();
  for (const { path } of places) {
    if (seen.has(path)) problems.add('writable', `${path} stands twice`);
    seen.add(path);
  }
  if (!seen.has(ETC.path)) places.push(ETC);
  return places.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function readPlace(value: unknown, path: string, parent: Fields): RecipePlace | undefined {
  const { problems } = parent;
  const fields = Fields.read(value, path, ['path', 'size', 'content', 'mode', 'inodes'], problems);
  if (!fields?.required('path')) return undefined;
  const target = fields.text('path', placePathProblem);
  const bytes = fields.has('size') ? parseSize(fields.raw('size')) : DEFAULT_BYTES;
  if (bytes === undefined || bytes < MIN_BYTES || bytes > MAX_BYTES) {
    return problems.add(fields.at('size'), 'must be a size from 64K to 2G, such as 16M');
  }
  const content =
    fields.text('content', (text) => (CONTENTS.includes(text) ? undefined : `must be one of ${CONTENTS.join(', ')}`)) ??
    'overlay';
  const mode = fields.has('mode') ? parseMode(fields.raw('mode')) : undefined;
  if (fields.has('mode') && (mode === undefined || mode < 0o500 || mode > 0o1777))
    problems.add(fields.at('mode'), "must be octal digits in quotes, such as '1777'");
  const inodes = fields.integer('inodes', 16, MAX_INODES) ?? inodesFor(bytes);
  return target === undefined ? undefined : { path: target, bytes, inodes, content: content as PlaceContent, mode };
}
