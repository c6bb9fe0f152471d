import { createHash } from 'node:crypto';
import { DIGEST_PATTERN, type Digest } from '@plinth/contracts';

/** SHA-256 in the notation of the contracts; of a text, of its UTF-8 form. */
export function digestOf(content: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST_PATTERN.test(value);
}
