/** Errors a person can do something about. */
import { escapeControls } from './escape.js';

/** Something went wrong that a person can do something about; its text is fit for a terminal. */
export class ClientError extends Error {
  constructor(
    message: string,
    /** e.g. `unreachable`, `timeout`, `container-not-found`. */
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(escapeControls(message), options);
    this.name = 'ClientError';
  }
}
