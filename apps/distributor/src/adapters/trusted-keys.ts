/** The Ed25519 keys whose word is taken: a directory of `<keyId>.pem`, read anew each time, so that keys may be rotated. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { signedText, type SignedStatement } from '@plinth/contracts';
import { done, failed, type Outcome } from '../domain/failure.js';
import { hasCode } from './system-error.js';

export class TrustedKeys {
  constructor(private readonly directory: string) {}

  /** Ids of the usable keys. @throws Error naming the first file that is no such key, or whose name is not its id */
  async list(): Promise<string[]> {
    const files = (await readdir(this.directory)).filter((file) => file.endsWith('.pem'));
    const ids = files.map((file) => file.slice(0, -'.pem'.length));
    await Promise.all(ids.map((id) => this.load(id)));
    return ids;
  }

  async verify(statement: SignedStatement): Promise<Outcome<SignedStatement>> {
    const key = await this.load(statement.keyId);
    if (!key)
      return failed('unknown-key', `the image is signed by the key ${statement.keyId}, which is not trusted here`);
    const holds = verify(null, Buffer.from(signedText(statement)), key, Buffer.from(statement.signature, 'base64'));
    return holds
      ? done(statement)
      : failed('bad-signature', `the signature by the key ${statement.keyId} does not hold`);
  }

  private async load(id: string): Promise<KeyObject | undefined> {
    let pem: string;
    try {
      pem = await readFile(join(this.directory, `${id}.pem`), 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`the trusted key ${id}.pem is not an Ed25519 key`);
    const real = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex')
      .slice(0, 16);
    if (real !== id) throw new Error(`the trusted key ${id}.pem has the id ${real}`);
    return key;
  }
}
