import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ScratchDirectory {
  readonly path: string;
  /** Deletes it with all that is in it. */
  stop(): void;
}

/** A new, empty folder among the system's temporary files. */
export function scratchDirectory(prefix = 'plinth-test-'): ScratchDirectory {
  const path = mkdtempSync(join(tmpdir(), prefix));
  return { path, stop: () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }) };
}
