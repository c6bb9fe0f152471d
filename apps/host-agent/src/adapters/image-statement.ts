/** Whether an image's manifest is vouched for: its signed statement, checked with the keys that this host trusts. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, DIGEST_PATTERN, type Digest, type SignedStatement } from '@plinth/contracts';

export type TrustedKeys = ReadonlyMap<string, KeyObject>;

/** File names are `<keyId>.pem`. @throws Error when one is not the Ed25519 public key that its name says */
export function readTrustedKeys(directory: string): TrustedKeys {
  const keys = new Map<string, KeyObject>();
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.pem'))) {
    const key = createPublicKey(readFileSync(join(directory, name)));
    const keyId = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex')
      .slice(0, 16);
    if (key.asymmetricKeyType !== 'ed25519' || name !== `${keyId}.pem`)
      throw new Error(`${join(directory, name)} is not the Ed25519 key ${name.slice(0, -4)}`);
    keys.set(keyId, key);
  }
  return keys;
}

export interface Vouched {
  readonly name: string;
  readonly version: string;
  readonly manifestDigest: Digest;
  readonly contentDigest: Digest;
}

/** @returns what is wrong with the statement, or undefined when a trusted key signed exactly these values */
export function statementProblem(text: string, expected: Vouched, keys: TrustedKeys): string | undefined {
  let statement: Partial<SignedStatement>;
  try {
    statement = JSON.parse(text) as Partial<SignedStatement>;
  } catch (error) {
    if (error instanceof SyntaxError) return 'the signed statement is not JSON';
    throw error;
  }
  if (statement === null || typeof statement !== 'object' || Array.isArray(statement))
    return 'the signed statement is no object';
  const { signature, ...signed } = statement;
  const key = typeof statement.keyId === 'string' ? keys.get(statement.keyId) : undefined;
  if (!key) return 'the statement is signed by a key that this host does not trust';
  if (
    typeof signature !== 'string' ||
    !verify(null, Buffer.from(canonicalJson(signed)), key, Buffer.from(signature, 'base64'))
  ) {
    return 'the signature of the statement is wrong';
  }
  for (const field of ['name', 'version', 'manifestDigest', 'contentDigest'] as const) {
    if (statement[field] !== expected[field]) return `the statement is about another ${field}`;
  }
  return undefined;
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST_PATTERN.test(value);
}
