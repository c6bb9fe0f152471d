/** Errors of the operating system, told apart by their code. */
import { isNativeError } from 'node:util/types';

/** e.g. `ENOENT`, `ECONNRESET`; undefined for errors that are not the system's, nor Node's. */
export function codeOf(error: unknown): string | undefined {
  return isNativeError(error) && 'code' in error ? String(error.code) : undefined;
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}
