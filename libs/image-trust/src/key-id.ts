/** How keys are named. */
import { createHash, type KeyObject } from 'node:crypto';

export const KEY_ID_PATTERN = /^[0-9a-f]{16}$/;

/** First 16 hex digits of the SHA-256 of the public key's DER form (SubjectPublicKeyInfo, RFC 8410). */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

/** Name of a key's file in a directory of trusted keys. */
export function keyFileName(keyId: string): string {
  return `${keyId}.pem`;
}
