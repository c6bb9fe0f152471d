import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { MANIFEST_LIMITS, signedText, type SignedStatement } from '@plinth/contracts';
import { keyIdOf } from './key-id.js';
import { MAX_STATEMENT_BYTES, parseStatement, signatureHolds, statementMismatch } from './statement.js';

const digest = (digit: string): `sha256:${string}` => `sha256:${digit.repeat(64)}`;
const statement: SignedStatement = {
  schema: 1,
  name: 'tiny',
  version: 'v1',
  contentDigest: digest('1'),
  manifestDigest: digest('2'),
  manifestBytes: 100,
  archiveDigest: digest('3'),
  archiveBytes: 200,
  keyId: '0123456789abcdef',
  signature: `${'A'.repeat(86)}==`,
};
const parse = (value: unknown): unknown =>
  parseStatement(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

describe('parseStatement', () => {
  it('takes a sound one', () => {
    expect(parse(statement)).toEqual({ ok: true, statement });
  });

  it.each<[string, unknown]>([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['a list', []],
    ['text that is not UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1')],
    ['another schema', { ...statement, schema: 2 }],
    ['an unknown field', { ...statement, algorithm: 'none' }],
    ['a field of the prototype', `{"__proto__":{},${JSON.stringify(statement).slice(1)}`],
    ['no signature', { ...statement, signature: undefined }],
    ['an empty signature', { ...statement, signature: '' }],
    ['a cut signature', { ...statement, signature: 'AAAA' }],
    ['a signature with bits beyond its 64 bytes', { ...statement, signature: `${'A'.repeat(85)}B==` }],
    ['a key id that is a path', { ...statement, keyId: '../../etc/x' }],
    ['a name that is a path', { ...statement, name: '../x' }],
    ['a size that is text', { ...statement, archiveBytes: '200' }],
    ['an endless size', { ...statement, archiveBytes: 1e300 }],
    ['a negative size', { ...statement, manifestBytes: -1 }],
    ['a manifest beyond all bounds', { ...statement, manifestBytes: MANIFEST_LIMITS.manifestBytes + 1 }],
    ['no digest', { ...statement, archiveDigest: 'md5:1' }],
    ['one that is too large', `${JSON.stringify(statement)}${' '.repeat(MAX_STATEMENT_BYTES)}`],
  ])('refuses %s', (_, value) => {
    expect(parse(value)).toMatchObject({ ok: false, reason: 'bad-statement', message: expect.any(String) });
  });
});

describe('signatureHolds', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const open = { ...statement, keyId: keyIdOf(publicKey) };
  const signed = { ...open, signature: sign(null, Buffer.from(signedText(open)), privateKey).toString('base64') };

  it('accepts what was signed', () => {
    expect(signatureHolds(signed, publicKey)).toBe(true);
  });

  it.each(Object.keys(statement).filter((field) => field !== 'signature'))('does not when %s is changed', (field) => {
    const changed = { ...signed, [field]: field.endsWith('Bytes') ? 7 : 'other' };
    expect(signatureHolds(changed, publicKey)).toBe(false);
  });

  it('does not accept another key', () => {
    expect(signatureHolds(signed, generateKeyPairSync('ed25519').publicKey)).toBe(false);
  });
});

describe('statementMismatch', () => {
  const { name, version, contentDigest, archiveBytes } = statement;

  it('finds nothing where all that is expected agrees', () => {
    expect(statementMismatch(statement, { name, version, contentDigest, archiveBytes })).toBeUndefined();
  });

  it.each([{ name: 'other' }, { version: 'v2' }, { contentDigest: digest('9') }, { archiveBytes: 201 }])(
    'names what differs from %j',
    (expected) => {
      expect(statementMismatch(statement, expected)).toContain(Object.keys(expected)[0]);
    },
  );
});
