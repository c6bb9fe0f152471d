/** The private key that signs images. Only the image builder has it; its content never gets into a message. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { signedText, type SignedStatement } from '@plinth/contracts';
import { writeDurably } from '@plinth/host-os';
import { keyFileName, keyIdOf } from './key-id.js';
import type { UnsignedStatement } from './statement.js';

const MAX_KEY_BYTES = 16 * 1024;

/** The file is not a key to sign with. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError';
}

export class SigningKey {
  private constructor(
    private readonly key: KeyObject,
    readonly keyId: string,
  ) {}

  /** @throws SigningKeyError when the file is not an Ed25519 private key, or others than its owner may read it */
  static async open(path: string): Promise<SigningKey> {
    const refuse = (problem: string): SigningKeyError => new SigningKeyError(`the signing key ${path} ${problem}`);
    const file = await open(path, 'r');
    let pem: Buffer;
    try {
      const found = await file.stat();
      if (!found.isFile() || found.size > MAX_KEY_BYTES) throw refuse('is not a key file');
      if ((found.mode & 0o077) !== 0) throw refuse('must be readable by its owner only: chmod 600');
      pem = await file.readFile();
    } finally {
      await file.close();
    }
    let key: KeyObject;
    try {
      key = createPrivateKey(pem);
    } catch {
      // The cause may quote the key.
      throw refuse('is not a private key in PEM form');
    }
    if (key.asymmetricKeyType !== 'ed25519') throw refuse('must be an Ed25519 key');
    return new SigningKey(key, keyIdOf(createPublicKey(key)));
  }

  sign(statement: UnsignedStatement): SignedStatement {
    const whole = { ...statement, keyId: this.keyId };
    return { ...whole, signature: sign(null, Buffer.from(signedText(whole)), this.key).toString('base64') };
  }
}

/**
 * Makes a key pair: the private key in `file`, mode 0600, its directory of mode 0700; the public key in `trusted`,
 * under its id.
 * A private key that is in `file` is replaced.
 * @returns the key's id
 */
export async function createSigningKey(file: string, trusted: string): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const keyId = keyIdOf(publicKey);
  await mkdir(trusted, { recursive: true, mode: 0o755 });
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // The public key is written first: a signing key that no host trusts would be worse than none.
  await writeDurably(join(trusted, keyFileName(keyId)), publicKey.export({ type: 'spki', format: 'pem' }), {
    mode: 0o644,
  });
  await writeDurably(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return keyId;
}
