/** The directory of trusted keys while it changes: keys that come and go, and files that are no keys. */
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { scratchDirectory } from '@plinth/testkit';
import { digestOf } from './digest.js';
import { keyIdOf } from './key-id.js';
import { createSigningKey, SigningKey, SigningKeyError } from './signing-key.js';
import { TrustedKeys } from './trusted-keys.js';

const scratch = scratchDirectory();
afterAll(() => scratch.stop());
let home = '';
let directory = '';
let id = '';
let file = '';
let keys: TrustedKeys;
let reports: string[];
let count = 0;

beforeEach(async () => {
  home = join(scratch.path, String(++count));
  directory = join(home, 'trusted');
  id = await createSigningKey(join(home, 'signing/key.pem'), directory);
  file = join(directory, `${id}.pem`);
  reports = [];
  keys = new TrustedKeys(directory, (problem) => reports.push(problem));
});

async function statementBytes(): Promise<Buffer> {
  const key = await SigningKey.open(join(home, 'signing/key.pem'));
  const digest = digestOf('something');
  const sizes = { manifestBytes: 1, archiveBytes: 1 };
  const digests = { contentDigest: digest, manifestDigest: digest, archiveDigest: digest };
  return Buffer.from(JSON.stringify(key.sign({ schema: 1, name: 'tiny', version: 'v1', ...sizes, ...digests })));
}

/** Makes a file old, so that it is remembered by its times. */
function settle(path: string): void {
  utimesSync(path, 1, 1);
}

describe('a key', () => {
  it('is trusted while its file is there, and looked up each time', async () => {
    const bytes = await statementBytes();
    expect(await keys.verify(bytes, { name: 'tiny' })).toMatchObject({ ok: true });
    renameSync(file, join(home, 'away'));
    expect(await keys.verify(bytes, {})).toMatchObject({
      ok: false,
      reason: 'unknown-key',
      message: expect.stringContaining(id),
    });
    renameSync(join(home, 'away'), file);
    expect(await keys.verify(bytes, {})).toMatchObject({ ok: true });
    expect(await keys.verify(bytes, { name: 'other' })).toMatchObject({ ok: false, reason: 'other-image' });
    expect(reports).toEqual([]);
  });

  it('is trusted no more when its file is written over in its place', async () => {
    settle(file);
    expect(await keys.find(id)).toMatchObject({ ok: true });
    const size = statSync(file).size;
    writeFileSync(file, ' '.repeat(size));
    settle(file);
    expect(await keys.find(id)).toMatchObject({ ok: false, reason: 'broken-key' });
  });

  it('may be a symbolic link, whose target is followed as it changes', async () => {
    renameSync(file, join(home, 'real'));
    symlinkSync(join(home, 'real'), file);
    expect(await keys.find(id)).toMatchObject({ ok: true });
    rmSync(join(home, 'real'));
    expect(await keys.find(id)).toMatchObject({ ok: false, reason: 'broken-key' });
  });
});

describe('a file that is no key', () => {
  const otherId = '0123456789abcdef';
  const other = (): string => join(directory, `${otherId}.pem`);
  const pem = (type: 'ed25519' | 'ed448'): string =>
    (type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ed448')).publicKey
      .export({ type: 'spki', format: 'pem' })
      .toString();

  it.each<[string, string, () => void]>([
    ['half-written', 'not one whole public key', () => writeFileSync(other(), readFileSync(file, 'utf8').slice(0, 60))],
    ['empty', 'not one whole public key', () => writeFileSync(other(), '')],
    ['under a wrong name', `is the key ${'[0-9a-f]{16}'}: name it`, () => writeFileSync(other(), pem('ed25519'))],
    ['of another kind', 'ed448, not Ed25519', () => writeFileSync(other(), pem('ed448'))],
    [
      'the private key',
      'holds a private key',
      () => writeFileSync(other(), readFileSync(join(home, 'signing/key.pem'))),
    ],
    ['too large', 'bytes, a key has at most', () => writeFileSync(other(), 'x'.repeat(20_000))],
    ['a directory', 'is not a file', () => mkdirSync(other())],
    ['a dangling link', "can't be read: ENOENT", () => symlinkSync('/nowhere', other())],
    ['a link to itself', "can't be read: ELOOP", () => symlinkSync(other(), other())],
    ['a pipe without a writer', 'is not a file', () => execFileSync('mkfifo', [other()])],
    [
      'named after nothing',
      'is not named after a key',
      () => writeFileSync(join(directory, 'mine.pem'), pem('ed25519')),
    ],
    [
      'one that everyone may write',
      'can be written by everyone',
      () => {
        writeFileSync(other(), pem('ed25519'));
        chmodSync(other(), 0o666);
      },
    ],
  ])('%s is reported once, and takes no trust from the one beside it', async (_what, why, make) => {
    make();
    expect(await keys.survey()).toEqual({ trusted: [id], problems: [expect.stringMatching(why)] });
    expect(await keys.problem()).toBeUndefined();
    expect(await keys.verify(await statementBytes(), {})).toMatchObject({ ok: true });
    expect(reports).toEqual([expect.stringMatching(why)]);
  });

  it('is reported again when something else is wrong with it, or when it was right in between', async () => {
    writeFileSync(other(), 'x');
    await keys.survey();
    writeFileSync(other(), pem('ed25519'));
    await keys.survey();
    rmSync(other());
    await keys.survey();
    writeFileSync(other(), 'x');
    await keys.survey();
    expect(reports).toHaveLength(3);
  });
});

describe('a directory', () => {
  it('of a thousand keys is read once, then only checked', async () => {
    for (let made = 1; made < 1_000; made++) {
      const { publicKey } = generateKeyPairSync('ed25519');
      const path = join(directory, `${keyIdOf(publicKey)}.pem`);
      writeFileSync(path, publicKey.export({ type: 'spki', format: 'pem' }));
    }
    const { trusted, problems } = await keys.survey();
    expect([trusted.length, problems.length]).toEqual([1_000, 0]);
    expect(await keys.find(id)).toMatchObject({ ok: true });
    expect((await keys.survey()).trusted).toHaveLength(1_000);
  });

  it.each<[string, string, () => void]>([
    ['that is missing', "can't be read: ENOENT", () => rmSync(directory, { recursive: true })],
    ['without a key', 'there is no usable key', () => rmSync(file)],
    ['with a broken key only', 'there is no usable key.*not one whole public key', () => writeFileSync(file, 'x')],
    ['that everyone may write to', 'chmod o-w', () => chmodSync(directory, 0o777)],
  ])('%s can not be opened, and is named', async (_what, why, change) => {
    change();
    const opened = TrustedKeys.open(directory);
    await expect(opened).rejects.toThrow(directory);
    await expect(opened).rejects.toThrow(new RegExp(why));
    await expect(opened).rejects.toMatchObject({ name: 'TrustedKeysError' });
  });
});

describe('the signing key', () => {
  it('is made for its owner only, in a directory of its own', () => {
    expect(statSync(join(home, 'signing')).mode & 0o777).toBe(0o700);
    expect(statSync(join(home, 'signing/key.pem')).mode & 0o777).toBe(0o600);
    expect(statSync(file).mode & 0o777).toBe(0o644);
  });

  it.each<[string, string, () => void]>([
    ['that others may read', 'chmod 600', () => chmodSync(join(home, 'signing/key.pem'), 0o640)],
    ['that is no key', 'not a private key', () => writeFileSync(join(home, 'signing/key.pem'), 'secret text')],
  ])('%s is refused without its content', async (_what, why, change) => {
    change();
    const opened = SigningKey.open(join(home, 'signing/key.pem'));
    await expect(opened).rejects.toThrow(SigningKeyError);
    await expect(opened).rejects.toThrow(why);
    await expect(opened).rejects.not.toThrow('secret text');
  });
});
