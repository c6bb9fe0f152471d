/**
 * The Ed25519 public keys whose signatures are accepted: a directory of `<keyId>.pem`.
 *
 * Trust in a key rests on its own file, checked each time: one stat(2) when nothing has changed. So a key that is taken
 * away is not trusted from then on, a new one is trusted at once, and a broken file takes no trust from the one beside
 * it.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { constants as fs } from 'node:fs';
import { lstat, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SignedStatement } from '@plinth/contracts';
import { codeOf, isMissing, unlessMissing } from '@plinth/host-os';
import { KEY_ID_PATTERN, keyFileName, keyIdOf } from './key-id.js';
import { type ExpectedStatement, parseStatement, signatureHolds, statementMismatch } from './statement.js';

export type FoundKey =
  | { readonly ok: true; readonly key: KeyObject }
  | { readonly ok: false; readonly reason: 'unknown-key' | 'broken-key'; readonly message: string };

export type Verdict =
  | { readonly ok: true; readonly statement: SignedStatement }
  | {
      readonly ok: false;
      readonly reason: 'bad-statement' | 'unknown-key' | 'broken-key' | 'bad-signature' | 'other-image';
      readonly message: string;
    };

export interface KeySurvey {
  /** Ids of the usable keys. */
  readonly trusted: readonly string[];
  /** Files that look like keys and are none: one sentence each, with its path. */
  readonly problems: readonly string[];
}

/** No key can be trusted: the directory is missing, can't be read, or holds no usable key. */
export class TrustedKeysError extends Error {
  override readonly name = 'TrustedKeysError';
}

interface Known {
  /** State of the file, as stat(2) shows it. */
  readonly fingerprint: string;
  readonly found: FoundKey;
}

/** For a service whose PLINTH_TRUSTED_KEYS is missing or no path. */
export const TRUSTED_KEYS_WANTED =
  'PLINTH_TRUSTED_KEYS must be the absolute path of a directory with the public keys whose images are trusted, ' +
  'one file <keyId>.pem each, e.g. PLINTH_TRUSTED_KEYS=/etc/plinth/trusted-keys';

const SUFFIX = '.pem';
const MAX_KEY_BYTES = 16 * 1024;
/**
 * One public key and nothing else (RFC 7468, 13): `createPublicKey` would take a private key or a certificate as well.
 */
const PUBLIC_KEY_PEM = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;
/**
 * A file that changed less than this before it was read may change again under the same times: it is read again the
 * next time.
 */
const SETTLED_MS = 2_000;
const FILES_AT_ONCE = 16;

export class TrustedKeys {
  private readonly known = new Map<string, Known>();
  private readonly reported = new Map<string, string>();

  /** @param report called once for each broken file, and again when what is wrong with it changes */
  constructor(
    readonly directory: string,
    private readonly report: (problem: string) => void = () => undefined,
  ) {}

  /**
   * Opens the directory for a service that can't run without it.
   * @throws TrustedKeysError with what to do
   */
  static async open(directory: string, report?: (problem: string) => void): Promise<TrustedKeys> {
    const keys = new TrustedKeys(directory, report);
    const problem = await keys.problem();
    if (problem !== undefined)
      throw new TrustedKeysError(`${problem}; bring the public keys that plinth keys init has made there`);
    return keys;
  }

  /** @returns why no key at all can be trusted at present, as one sentence; undefined: one can */
  async problem(): Promise<string | undefined> {
    let survey: KeySurvey;
    try {
      const { mode } = await stat(this.directory);
      if ((mode & 0o002) !== 0)
        return `everyone can write to the directory of trusted keys ${this.directory}: chmod o-w`;
      survey = await this.survey();
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return `the directory of trusted keys ${this.directory} can't be read: ${(error as Error).message}`;
    }
    if (survey.trusted.length > 0) return undefined;
    const broken = survey.problems.length === 0 ? '' : `: ${survey.problems.slice(0, 5).join('; ')}`;
    return `there is no usable key (<keyId>.pem) in ${this.directory}${broken}`;
  }

  /** Looks at every key of the directory. @throws the error of the system when the directory can't be read */
  async survey(): Promise<KeySurvey> {
    const names = (await readdir(this.directory)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.'));
    const trusted: string[] = [];
    const problems: string[] = [];
    const check = async (name: string): Promise<void> => {
      const found = await this.find(name.slice(0, -SUFFIX.length));
      if (found.ok) trusted.push(name.slice(0, -SUFFIX.length));
      // A key that is unknown was taken away meanwhile.
      else if (found.reason === 'broken-key') problems.push(found.message);
    };
    for (let first = 0; first < names.length; first += FILES_AT_ONCE)
      await Promise.all(names.slice(first, first + FILES_AT_ONCE).map(check));
    this.forgetAllBut(new Set(names));
    return { trusted: trusted.sort(), problems: problems.sort() };
  }

  /** The key as it is in the directory now. */
  async find(keyId: string): Promise<FoundKey> {
    const path = join(this.directory, keyFileName(keyId));
    if (!KEY_ID_PATTERN.test(keyId))
      return this.broken(keyId, path, `is not named after a key: the name of a key file is its id, 16 hex digits`);
    try {
      const before = await fingerprintOf(path);
      const known = this.known.get(keyId);
      if (known?.fingerprint === before.text) return known.found;
      const read = await readKey(path, keyId);
      const found: FoundKey = read.ok ? read : this.broken(keyId, path, read.problem);
      if (read.ok) this.reported.delete(keyId);
      if (before.settled) this.known.set(keyId, { fingerprint: before.text, found });
      else this.known.delete(keyId);
      return found;
    } catch (error) {
      this.known.delete(keyId);
      if (isMissing(error) && !(await isThere(path))) {
        this.reported.delete(keyId);
        return {
          ok: false,
          reason: 'unknown-key',
          message: `the key ${keyId} is not trusted here: ${path} does not exist`,
        };
      }
      const code = codeOf(error);
      if (code === undefined) throw error;
      return this.broken(keyId, path, `can't be read: ${code}`);
    }
  }

  /**
   * Whether the bytes of `signature.json` are a statement, signed by a trusted key, about what is expected; in this
   * order, so that nothing of a statement is used before its signature is checked.
   */
  async verify(body: Uint8Array, expected: ExpectedStatement): Promise<Verdict> {
    const parsed = parseStatement(body);
    if (!parsed.ok) return parsed;
    const { statement } = parsed;
    const found = await this.find(statement.keyId);
    if (!found.ok) return found;
    if (!signatureHolds(statement, found.key))
      return {
        ok: false,
        reason: 'bad-signature',
        message: `the signature by the key ${statement.keyId} is not one of this statement`,
      };
    const mismatch = statementMismatch(statement, expected);
    return mismatch === undefined ? { ok: true, statement } : { ok: false, reason: 'other-image', message: mismatch };
  }

  private broken(keyId: string, path: string, problem: string): FoundKey & { readonly ok: false } {
    const message = `the trusted key ${path} ${problem}`;
    if (this.reported.get(keyId) !== message) {
      this.reported.set(keyId, message);
      this.report(message);
    }
    return { ok: false, reason: 'broken-key', message };
  }

  private forgetAllBut(names: ReadonlySet<string>): void {
    for (const remembered of [this.known, this.reported])
      for (const keyId of remembered.keys()) if (!names.has(keyFileName(keyId))) remembered.delete(keyId);
  }
}

/**
 * Symbolic links are followed, as in a mounted Kubernetes secret: what they lead to counts, and its changes are seen.
 */
async function fingerprintOf(path: string): Promise<{ readonly text: string; readonly settled: boolean }> {
  const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return {
    text: [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(':'),
    settled: Math.abs(Date.now() - Number(ctimeNs / 1_000_000n)) > SETTLED_MS,
  };
}

/** A dangling link is a broken key, a file that is gone is none. */
async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(() => true, unlessMissing(false));
}

async function readKey(
  path: string,
  keyId: string,
): Promise<{ readonly ok: true; readonly key: KeyObject } | { readonly ok: false; readonly problem: string }> {
  const wrong = (problem: string): { readonly ok: false; readonly problem: string } => ({ ok: false, problem });
  // Opening a pipe would wait for its writer.
  const file = await open(path, fs.O_RDONLY | fs.O_NONBLOCK);
  let pem: string;
  try {
    const { size, mode } = await file.stat().then((found) => (found.isFile() ? found : { size: -1, mode: 0 }));
    if (size < 0) return wrong('is not a file');
    if (size > MAX_KEY_BYTES) return wrong(`has ${size} bytes, a key has at most ${MAX_KEY_BYTES}`);
    if ((mode & 0o002) !== 0) return wrong('can be written by everyone: chmod o-w');
    pem = await file.readFile('latin1');
  } finally {
    await file.close();
  }
  if (pem.includes('PRIVATE KEY'))
    return wrong('holds a private key: take it away from here, only the image builder may have it');
  if (!PUBLIC_KEY_PEM.test(pem)) return wrong('is not one whole public key in PEM form');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return wrong('is not a public key in PEM form');
  }
  if (key.asymmetricKeyType !== 'ed25519') return wrong(`is a key of type ${key.asymmetricKeyType}, not Ed25519`);
  const real = keyIdOf(key);
  return real === keyId ? { ok: true, key } : wrong(`is the key ${real}: name it ${keyFileName(real)}`);
}
