/** Converts an error of the file system to the failure of an installation. */
import { failed, type Outcome } from '../domain/failure.js';
import { codeOf } from '@plinth/host-os';

/** @throws the error itself when it is not one of the operating system */
export function fileFailure(error: unknown, doing: string): Outcome<never> {
  const code = codeOf(error);
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error;
  const reason = code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'io-error';
  return failed(reason, `${doing}: ${(error as Error).message}`);
}
