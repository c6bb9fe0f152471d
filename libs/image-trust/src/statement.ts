/** The signed statement of an image version: its shape, its signature, and what it is about. Pure. */
import { type KeyObject, verify } from 'node:crypto';
import {
  DIGEST_PATTERN,
  MANIFEST_LIMITS,
  NAME_PATTERN,
  signedText,
  type SignedStatement,
  VERSION_PATTERN,
} from '@plinth/contracts';
import { KEY_ID_PATTERN } from './key-id.js';

export type UnsignedStatement = Omit<SignedStatement, 'signature' | 'keyId'>;

/** Fields that a statement must agree with; what is absent may be anything. */
export type ExpectedStatement = Readonly<Partial<Record<keyof UnsignedStatement, string | number>>>;

export type ParsedStatement =
  | { readonly ok: true; readonly statement: SignedStatement }
  /** One sentence. */
  | { readonly ok: false; readonly reason: 'bad-statement'; readonly message: string };

export const MAX_STATEMENT_BYTES = 16 * 1024;
/** 64 bytes in base64 (RFC 4648, 4), of which the last two digits hold four bits. */
const SIGNATURE_PATTERN = /^[A-Za-z0-9+/]{85}[AQgw]==$/;

const text =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    typeof value === 'string' && pattern.test(value);
const count =
  (most: number) =>
  (value: unknown): boolean =>
    Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= most;

const FIELDS: Readonly<Record<keyof SignedStatement, (value: unknown) => boolean>> = {
  schema: (value) => value === 1,
  name: text(NAME_PATTERN),
  version: text(VERSION_PATTERN),
  contentDigest: text(DIGEST_PATTERN),
  manifestDigest: text(DIGEST_PATTERN),
  manifestBytes: count(MANIFEST_LIMITS.manifestBytes),
  archiveDigest: text(DIGEST_PATTERN),
  archiveBytes: count(Number.MAX_SAFE_INTEGER),
  keyId: text(KEY_ID_PATTERN),
  signature: text(SIGNATURE_PATTERN),
};

/**
 * From the bytes of `signature.json` to its shape: every field, and no other. Whose signature it is, and whether it
 * holds, is not checked.
 */
export function parseStatement(body: Uint8Array): ParsedStatement {
  if (body.length > MAX_STATEMENT_BYTES)
    return broken(`signature.json has ${body.length} bytes, ${MAX_STATEMENT_BYTES} are allowed`);
  const value = parseJson(body);
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return broken('signature.json is not a JSON object');
  const statement = value as Record<string, unknown>;
  const stray = Object.keys(statement).find((field) => !Object.hasOwn(FIELDS, field));
  if (stray !== undefined) return broken(`signature.json has an unknown field ${JSON.stringify(stray.slice(0, 40))}`);
  const wrong = Object.entries(FIELDS).find(([field, isSound]) => !isSound(statement[field]));
  if (wrong) return broken(`signature.json has no valid ${wrong[0]}`);
  return { ok: true, statement: value as SignedStatement };
}

/** @param publicKey Ed25519 (RFC 8032) */
export function signatureHolds(statement: SignedStatement, publicKey: KeyObject): boolean {
  return verify(null, Buffer.from(signedText(statement)), publicKey, Buffer.from(statement.signature, 'base64'));
}

/** @returns how the statement differs from what it should be about, as one sentence; undefined: it does not */
export function statementMismatch(statement: SignedStatement, expected: ExpectedStatement): string | undefined {
  for (const [field, value] of Object.entries(expected)) {
    const signed = statement[field as keyof SignedStatement];
    if (signed !== value)
      return `the signed statement is about another image: its ${field} is ${signed}, expected was ${value}`;
  }
  return undefined;
}

/** @returns undefined when it is not UTF-8 or not JSON: no JSON text means undefined */
function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // The two calls above throw for no other reason.
    return undefined;
  }
}

function broken(message: string): ParsedStatement {
  return { ok: false, reason: 'bad-statement', message };
}
