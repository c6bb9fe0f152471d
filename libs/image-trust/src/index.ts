/**
 * Whose images are trusted: signing keys, signed statements, and the directory of keys that a host or storage node
 * trusts.
 */
export { digestOf, isDigest } from './digest.js';
export { KEY_ID_PATTERN, keyFileName, keyIdOf } from './key-id.js';
export { createSigningKey, SigningKey, SigningKeyError } from './signing-key.js';
export { MAX_STATEMENT_BYTES, parseStatement, signatureHolds, statementMismatch } from './statement.js';
export type { ExpectedStatement, ParsedStatement, UnsignedStatement } from './statement.js';
export { TRUSTED_KEYS_WANTED, TrustedKeys, TrustedKeysError } from './trusted-keys.js';
export type { FoundKey, KeySurvey, Verdict } from './trusted-keys.js';
