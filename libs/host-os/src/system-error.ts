/** Errors of the operating system, distinguished by their code. */
import { isNativeError } from 'node:util/types';

/** e.g. `ENOENT`, `ECONNRESET`; undefined for errors that are neither the system's nor those of Node.js. */
export function codeOf(error: unknown): string | undefined {
  return isNativeError(error) && 'code' in error ? String(error.code) : undefined;
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

/** The file or directory does not exist. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT');
}

/** For `catch`: `value` when the file does not exist; any other error is thrown again. */
export function unlessMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isMissing(error)) return value;
    throw error;
  };
}
