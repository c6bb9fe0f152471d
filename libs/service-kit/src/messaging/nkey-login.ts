/**
 * nkeys of users, by the client's own library. It computes Ed25519 in JavaScript: 90 ms at each start of a process. It
 * lets its curve be replaced, by that of the platform here: 4 ms.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { nkeyAuthenticator, nkeys } from 'nats';
import { getEd25519Helper, setEd25519Helper } from 'nkeys.js/lib/helper.js';

/** What PKCS #8 writes before the 32 bytes of a key of Ed25519 (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SECRET_BYTES = 32;

setEd25519Helper({
  ...getEd25519Helper(),
  // The library keeps both halves together, the secret one first.
  fromSeed: (secret) => {
    const { x = '' } = createPublicKey(privateKey(secret)).export({ format: 'jwk' });
    const publicKey = Buffer.from(x, 'base64url');
    return { publicKey, secretKey: Buffer.concat([secret, publicKey]) };
  },
  sign: (data, secretKey) => sign(null, data, privateKey(secretKey.subarray(0, SECRET_BYTES))),
});

function privateKey(secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' });
}

/** @returns the seed (`SU…`), which is secret, and the public key (`U…`) */
export function newUserKey(): { readonly seed: string; readonly publicKey: string } {
  const pair = nkeys.createUser();
  const seed = Buffer.from(pair.getSeed()).toString('latin1');
  const publicKey = pair.getPublicKey();
  pair.clear();
  return { seed, publicKey };
}

/**
 * The answer to a server's challenge.
 * @param seed of a user: `SU` and 56 characters
 * @param nonce of the server; absent: it asks for no proof
 * @throws Error when the check sum of the seed is wrong
 */
export function nkeyLogin(seed: string, nonce: string | undefined): ReturnType<ReturnType<typeof nkeyAuthenticator>> {
  return nkeyAuthenticator(Buffer.from(seed, 'latin1'))(nonce);
}
