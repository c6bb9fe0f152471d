/** Is a signed statement about exactly the image that was promoted? */
import {
  DIGEST_PATTERN,
  type ImagePromoted,
  MANIFEST_LIMITS,
  NAME_PATTERN,
  type SignedStatement,
  VERSION_PATTERN,
} from '@plinth/contracts';
import { done, failed, type Outcome } from './failure.js';
import { parseDocument } from './json-document.js';

export const MAX_STATEMENT_BYTES = 16 * 1024;
const KEY_ID_PATTERN = /^[0-9a-f]{16}$/;
/** 64 bytes in base64. */
const SIGNATURE_PATTERN = /^[A-Za-z0-9+/]{86}==$/;
const FIELDS = [
  'schema',
  'name',
  'version',
  'contentDigest',
  'manifestDigest',
  'manifestBytes',
  'archiveDigest',
  'archiveBytes',
  'keyId',
  'signature',
];

/** From the bytes of `signature.json` to its shape; whose signature it is and whether it holds is not looked at here. */
export function parseStatement(body: Uint8Array): Outcome<SignedStatement> {
  const value = parseDocument(body);
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    return failed('bad-signature', 'signature.json is not a JSON object');
  const statement = value as Record<string, unknown>;
  const text = (field: string, pattern: RegExp): boolean =>
    typeof statement[field] === 'string' && pattern.test(statement[field]);
  const count = (field: string): boolean => Number.isSafeInteger(statement[field]) && (statement[field] as number) > 0;
  const sound =
    Object.keys(statement).every((key) => FIELDS.includes(key)) &&
    statement['schema'] === 1 &&
    text('name', NAME_PATTERN) &&
    text('version', VERSION_PATTERN) &&
    text('contentDigest', DIGEST_PATTERN) &&
    text('manifestDigest', DIGEST_PATTERN) &&
    text('archiveDigest', DIGEST_PATTERN) &&
    count('manifestBytes') &&
    count('archiveBytes') &&
    text('keyId', KEY_ID_PATTERN) &&
    text('signature', SIGNATURE_PATTERN);
  return sound
    ? done(value as SignedStatement)
    : failed('bad-signature', 'signature.json is not a signed statement of schema 1');
}

/** What the promotion and the signer must agree on; also bounds what is downloaded next. */
export function matchStatement(statement: SignedStatement, promotion: ImagePromoted): Outcome<SignedStatement> {
  const asked: Partial<Record<keyof SignedStatement, string | number>> = {
    name: promotion.name,
    version: promotion.version,
    contentDigest: promotion.contentDigest,
    manifestDigest: promotion.manifestDigest,
    archiveDigest: promotion.archiveDigest,
    archiveBytes: promotion.archiveBytes,
  };
  for (const [field, value] of Object.entries(asked)) {
    const signed = statement[field as keyof SignedStatement];
    if (signed !== value)
      return failed(
        'bad-signature',
        `the signed statement is about another image: its ${field} is ${signed}, promoted was ${value}`,
      );
  }
  if (statement.manifestBytes > MANIFEST_LIMITS.manifestBytes)
    return failed('bad-manifest', `the manifest is larger than ${MANIFEST_LIMITS.manifestBytes} bytes`);
  return done(statement);
}
