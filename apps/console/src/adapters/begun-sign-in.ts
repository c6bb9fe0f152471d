/**
 * What a browser keeps of a sign-in that it began at an OpenID provider, in a cookie that is sealed with a key of the
 * client's secret: so any copy of the console ends what another began.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

export interface BegunSignIn {
  readonly state: string;
  readonly nonce: string;
  /** RFC 7636. */
  readonly verifier: string;
  /** In the console. */
  readonly returnTo: string;
  /** Seconds after 1970. */
  readonly until: number;
}

export const BEGUN_SECONDS = 600;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAX_LENGTH = 3_500;

const keyOf = (secret: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', 'plinth console: begun sign-in', 32));

export function sealBegun(begun: BegunSignIn, secret: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, keyOf(secret), nonce, { authTagLength: TAG_BYTES });
  const text = Buffer.concat([cipher.update(JSON.stringify(begun), 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url');
}

/** @returns undefined when it is none of this secret's, or over */
export function openBegun(sealed: string, secret: string, nowSeconds: number): BegunSignIn | undefined {
  const bytes = Buffer.from(sealed.length > MAX_LENGTH ? '' : sealed, 'base64url');
  if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(CIPHER, keyOf(secret), bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
  let text: string;
  try {
    text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    // Another seal: the only failure of what has the right length.
    return undefined;
  }
  const begun = JSON.parse(text) as BegunSignIn;
  const left = begun.until - nowSeconds;
  return left > 0 && left <= BEGUN_SECONDS ? begun : undefined;
}

/** Under which it is used up. */
export function idOfBegun({ state }: BegunSignIn): string {
  return `oidc:${createHash('sha256').update(state).digest('hex')}`;
}
