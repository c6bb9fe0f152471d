/** What checks of untrusted JSON share. */

/** Takes one sentence that begins with the place of the problem. */
export type Add = (problem: string) => void;
export type Json = Record<string, unknown>;

export function checkFields(value: Json, allowed: readonly string[], prefix: string, add: Add): void {
  for (const key of Object.keys(value))
    if (!allowed.includes(key)) add(`${prefix}${key.slice(0, 40)}: is not a known field`);
}

export function isObject(value: unknown): value is Json {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

export function isCount(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}
