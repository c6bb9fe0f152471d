/** Signs statements with the builder's Ed25519 key. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { open } from 'node:fs/promises';
import { signedText, type SignedStatement } from '@plinth/contracts';
import type { UnsignedStatement } from '../../domain/seal-manifest.js';

const MAX_KEY_BYTES = 16 * 1024;

export class Signer {
  private constructor(
    private readonly key: KeyObject,
    readonly keyId: string,
  ) {}

  /** @throws Error when the file is not an Ed25519 private key, or others than its owner may read it; its content is never told */
  static async open(path: string): Promise<Signer> {
    const file = await open(path, 'r');
    let pem: Buffer;
    try {
      const found = await file.stat();
      if (!found.isFile() || found.size > MAX_KEY_BYTES)
        throw new Error('the signing key (PLINTH_SIGNING_KEY) is not a key file');
      if ((found.mode & 0o077) !== 0)
        throw new Error('the signing key (PLINTH_SIGNING_KEY) must be readable by its owner only: chmod 600');
      pem = await file.readFile();
    } finally {
      await file.close();
    }
    let key: KeyObject;
    try {
      key = createPrivateKey(pem);
    } catch {
      // The cause may quote the key.
      throw new Error('the signing key (PLINTH_SIGNING_KEY) is not a private key in PEM form');
    }
    if (key.asymmetricKeyType !== 'ed25519')
      throw new Error('the signing key (PLINTH_SIGNING_KEY) must be an Ed25519 key');
    const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
    return new Signer(key, createHash('sha256').update(der).digest('hex').slice(0, 16));
  }

  sign(statement: UnsignedStatement): SignedStatement {
    const whole = { ...statement, keyId: this.keyId };
    return { ...whole, signature: sign(null, Buffer.from(signedText(whole)), this.key).toString('base64') };
  }
}
