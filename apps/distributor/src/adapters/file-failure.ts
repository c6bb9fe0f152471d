/** What an error of the file system means for an installation. */
import { failed, type Outcome } from '../domain/failure.js';

/** @throws the error itself when it is not one of the file system */
export function fileFailure(error: unknown, doing: string): Outcome<never> {
  if (!(error instanceof Error) || !('syscall' in error || 'code' in error)) throw error;
  const code = 'code' in error ? String(error.code) : '';
  if (!/^E[A-Z0-9]+$/.test(code)) throw error;
  const reason = code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'io-error';
  return failed(reason, `${doing}: ${error.message}`);
}
