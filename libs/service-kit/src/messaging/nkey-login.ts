/**
 * nkeys of users: https://github.com/nats-io/nkeys (base32 of prefix, key of Ed25519 and CRC-16). The platform computes
 * the curve: the client library does it in JavaScript, which takes 20 times as long, at each start of a process.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** `U`, as the upper five bits of the first byte. */
const USER_PREFIX = 20 << 3;
/** `SU`, five bits each. */
const USER_SEED_PREFIX = Buffer.from([(18 << 3) | (USER_PREFIX >> 5), (USER_PREFIX & 31) << 3]);
/** What PKCS #8 writes before the 32 bytes of a key of Ed25519 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const KEY_BYTES = 32;

/** @returns the seed (`SU…`), which is secret, and the public key (`U…`) */
export function newUserKey(): { readonly seed: string; readonly publicKey: string } {
  const secret = randomBytes(KEY_BYTES);
  const seed = withCheckSum(Buffer.concat([USER_SEED_PREFIX, secret]));
  return { seed, publicKey: publicKeyOf(privateKey(secret)) };
}

/**
 * The answer to a server's challenge, as `nkeyAuthenticator` of the client library gives it.
 * @param seed of a user: `SU` and 56 characters
 * @param nonce of the server; absent: it asks for no proof
 * @throws Error when the check sum of the seed is wrong
 */
export function nkeyLogin(seed: string, nonce: string | undefined): { readonly nkey: string; readonly sig: string } {
  const bytes = fromBase32(seed);
  const checked = bytes.subarray(0, USER_SEED_PREFIX.length + KEY_BYTES);
  if (bytes.length !== checked.length + 2 || bytes.readUInt16LE(checked.length) !== crc16(checked))
    throw new Error('the check sum of the nkey seed is wrong');
  const key = privateKey(checked.subarray(USER_SEED_PREFIX.length));
  const sig = nonce ? sign(null, Buffer.from(nonce, 'utf8'), key).toString('base64') : '';
  return { nkey: publicKeyOf(key), sig };
}

function privateKey(secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' });
}

function publicKeyOf(key: KeyObject): string {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return withCheckSum(Buffer.concat([Buffer.from([USER_PREFIX]), Buffer.from(x, 'base64url')]));
}

function withCheckSum(bytes: Uint8Array): string {
  const checkSum = Buffer.alloc(2);
  checkSum.writeUInt16LE(crc16(bytes));
  return toBase32(Buffer.concat([bytes, checkSum]));
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const character of text) {
    held = (held << 5) | ALPHABET.indexOf(character);
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
    held &= (1 << bits) - 1;
  }
  return Buffer.from(bytes);
}

function toBase32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    for (; bits >= 5; held &= (1 << bits) - 1) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 31];
    }
  }
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31];
}
