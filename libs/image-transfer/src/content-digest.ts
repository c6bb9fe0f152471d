/** SHA-256 of files, in the notation of the contracts. */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '@plinth/contracts';

/**
 * Digest of the whole file; leaves its offset at 0. It reads a megabyte at a time, so that the event loop never waits
 * long.
 */
export async function digestOfFile(file: FileHandle, signal: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1024 ** 2);
  for (let position = 0; ;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return `sha256:${hash.digest('hex')}`;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
