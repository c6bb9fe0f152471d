/** Paths and sizes as recipes write them. */
import { MANIFEST_LIMITS, MOUNTED_BY_THE_HOST } from '@plinth/contracts';

/** @returns what is wrong with an absolute path, or undefined */
export function pathProblem(text: string): string | undefined {
  if (!text.startsWith('/') || text === '/') return 'must be an absolute path below /';
  if (Buffer.byteLength(text) > MANIFEST_LIMITS.pathBytes) return `must be at most ${MANIFEST_LIMITS.pathBytes} bytes`;
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
  if (/[\0-\x1f\x7f]/.test(text)) return 'must not hold control characters';
  if (/\p{Surrogate}/u.test(text)) return 'must be well-formed Unicode';
  const components = text.slice(1).split('/');
  if (components.some((component) => component === '' || component === '.' || component === '..'))
    return 'must be normal: no empty, . or .. component';
  if (components.length > MANIFEST_LIMITS.depth) return `must be at most ${MANIFEST_LIMITS.depth} levels deep`;
  return components.some((component) => Buffer.byteLength(component) > MANIFEST_LIMITS.componentBytes)
    ? 'has a component that is too long'
    : undefined;
}

/** A file of the image: not where a container's own mounts hide it. */
export function filePathProblem(text: string): string | undefined {
  return pathProblem(text) ?? reservedProblem(text, [...MOUNTED_BY_THE_HOST, 'dev', 'run', 'tmp']);
}

/** Plain components only: the path becomes part of mount options. */
const PLACE_PATH = /^(?:\/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,12}$/;

export function placePathProblem(text: string): string | undefined {
  const problem = pathProblem(text) ?? reservedProblem(text, [...MOUNTED_BY_THE_HOST, 'dev']);
  if (problem !== undefined || PLACE_PATH.test(text)) return problem;
  return 'must have at most 12 components of letters, digits and . _ -, none beginning with . or -';
}

function reservedProblem(text: string, reserved: readonly string[]): string | undefined {
  const top = text.split('/')[1] ?? '';
  return reserved.includes(top) ? `must not lie in /${top}: every container gets its own there` : undefined;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** @returns bytes for `16M`, `512KiB`, `1G` or a number of bytes; undefined when it is none of these */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{1,12})\s?([KMG]?)(?:i?B)?$/.exec(value);
  const bytes = match ? Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN) : Number.NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** @returns permission bits for text such as `0644`; a bare number would be decimal in YAML 1.2 and is refused */
export function parseMode(value: unknown): number | undefined {
  return typeof value === 'string' && /^0?o?[0-7]{3,4}$/.test(value)
    ? Number.parseInt(value.replace('o', ''), 8)
    : undefined;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(`${ancestor}/`);
}
