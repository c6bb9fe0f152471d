/** Converts an error of the file system to an expected failure. */
import { codeOf } from '@plinth/host-os';
import { failed, type StoreRefused } from './outcome.js';

/** @throws the error itself when it is not one of the operating system */
export function fileFailure(error: unknown, doing: string): StoreRefused {
  const code = codeOf(error);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error;
  const reason = code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'io-error';
  return failed(reason, `${doing}: ${(error as Error).message}`);
}
