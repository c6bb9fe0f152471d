import { describe, expect, it } from '@jest/globals';
import type { ImagePromoted, SignedStatement } from '@plinth/contracts';
import { matchStatement, parseStatement } from './statement.js';

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
const promotion = { ...statement, unpackedBytes: 5, sources: [] } as unknown as ImagePromoted;
const parse = (value: unknown): unknown =>
  parseStatement(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

describe('parseStatement', () => {
  it('takes a sound one', () => {
    expect(parse(statement)).toEqual({ ok: true, value: statement });
  });

  it.each<[string, unknown]>([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['a list', []],
    ['another schema', { ...statement, schema: 2 }],
    ['an unknown field', { ...statement, algorithm: 'none' }],
    ['no signature', { ...statement, signature: undefined }],
    ['an empty signature', { ...statement, signature: '' }],
    ['a cut signature', { ...statement, signature: 'AAAA' }],
    ['a key id that is a path', { ...statement, keyId: '../../etc/x' }],
    ['a name that is a path', { ...statement, name: '../x' }],
    ['a size that is text', { ...statement, archiveBytes: '200' }],
    ['an endless size', { ...statement, archiveBytes: 1e300 }],
    ['a negative size', { ...statement, manifestBytes: -1 }],
    ['no digest', { ...statement, archiveDigest: 'md5:1' }],
  ])('refuses %s', (_, value) => {
    expect(parse(value)).toMatchObject({ ok: false, failure: { reason: 'bad-signature' } });
  });
});

describe('matchStatement', () => {
  it('takes one about the promoted image', () => {
    expect(matchStatement(statement, promotion)).toEqual({ ok: true, value: statement });
  });

  it.each<Partial<SignedStatement>>([
    { name: 'other' },
    { version: 'v2' },
    { contentDigest: digest('9') },
    { manifestDigest: digest('9') },
    { archiveDigest: digest('9') },
    { archiveBytes: 201 },
  ])('refuses one with %j', (changes) => {
    expect(matchStatement({ ...statement, ...changes }, promotion)).toMatchObject({
      ok: false,
      failure: { reason: 'bad-signature' },
    });
  });

  it('refuses a manifest beyond all bounds before it is downloaded', () => {
    expect(matchStatement({ ...statement, manifestBytes: 2 ** 40 }, promotion)).toMatchObject({
      ok: false,
      failure: { reason: 'bad-manifest' },
    });
  });
});
