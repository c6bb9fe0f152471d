/** Small signed images for tests, valid until a test changes something. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import {
  CAPABILITY_ATTRIBUTE,
  comparePaths,
  contentBytes,
  contentDigestInput,
  type Digest,
  type ImageManifest,
  type ImagePromoted,
  type ManifestEntry,
  manifestSchema,
  REQUIRED_MOUNT_POINTS,
  type SignedStatement,
  signedText,
} from '@plinth/contracts';
import { digestOf, keyIdOf } from '@plinth/image-trust';
import tar, { type Pack } from 'tar-stream';

export const sha256: (bytes: Uint8Array | string) => Digest = digestOf;

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly pem: string;
}

export function makeKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { id: keyIdOf(publicKey), privateKey, pem: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

export function trust(directory: string, key: SigningKey): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${key.id}.pem`), key.pem);
}

/** A member of the archive: a tar header, and the content of a file. */
export interface Member {
  header: Parameters<Pack['entry']>[0];
  content?: Buffer;
}

const MTIME = 1_700_000_000;
export const SCRIPT = Buffer.from('#!/bin/sh\nexit 0\n');

const CAPABILITY_EXTENSION = `SCHILY.xattr.${CAPABILITY_ATTRIBUTE}`;

export type Tree = Readonly<Record<string, string | Buffer | { readonly to: string } | null>>;

/** Files with text or bytes, symlinks as `{to}`, directories as null; parents are added. */
export function entriesOf(tree: Tree): { entries: ManifestEntry[]; contents: Map<string, Buffer> } {
  const contents = new Map<string, Buffer>();
  const all = new Map<string, ManifestEntry>();
  const owner = { uid: 0, gid: 0, mtime: MTIME };
  const addDirectory = (path: string): void => {
    all.set(path, { path, type: 'directory', mode: 0o755, ...owner });
  };
  for (const path of ['.', ...REQUIRED_MOUNT_POINTS]) addDirectory(path);
  for (const [path, value] of Object.entries(tree)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) addDirectory(parts.slice(0, depth).join('/'));
    if (value === null) addDirectory(path);
    else if (typeof value === 'string' || Buffer.isBuffer(value)) {
      const content = Buffer.from(value);
      contents.set(path, content);
      all.set(path, { path, type: 'file', mode: 0o644, ...owner, size: content.length, digest: sha256(content) });
    } else all.set(path, { path, type: 'symlink', mode: 0o777, ...owner, target: value.to });
  }
  return { entries: [...all.values()].sort((a, b) => comparePaths(a.path, b.path)), contents };
}

export function makeManifest(entries: readonly ManifestEntry[], changes: Partial<ImageManifest> = {}): ImageManifest {
  const open = {
    schema: manifestSchema({ entries }),
    name: 'tiny',
    version: 'v1',
    architecture: 'amd64',
    recipeDigest: sha256('recipe'),
    mountPlan: {
      schema: 1 as const,
      places: [{ path: '/etc', bytes: 5_242_880, inodes: 1_000, content: 'overlay' as const, mode: 0o755 }],
    },
    mountScript: { digest: sha256(SCRIPT), bytes: SCRIPT.length, custom: false },
    environment: { LANG: 'C.UTF-8' },
    timezone: 'Etc/UTC',
    command: ['/sbin/init'],
    stopSignal: 'SIGTERM',
    totals: {
      entries: entries.length,
      bytes: contentBytes(entries),
    },
    entries,
    ...changes,
  };
  return { contentDigest: sha256(contentDigestInput(open)), ...open };
}

export function membersOf(entries: readonly ManifestEntry[], contents: ReadonlyMap<string, Buffer>): Member[] {
  const script: Member = {
    header: { name: 'mount.sh', mode: 0o755, mtime: new Date(MTIME * 1_000), uid: 0, gid: 0, type: 'file' },
    content: SCRIPT,
  };
  return [
    script,
    ...entries.map((entry): Member => {
      const { mode, uid, gid, type } = entry;
      const header = {
        name: entry.path === '.' ? 'root' : `root/${entry.path}`,
        mode,
        uid,
        gid,
        type,
        mtime: new Date(entry.mtime * 1_000),
      };
      if (entry.type === 'symlink') return { header: { ...header, linkname: entry.target } };
      if (entry.type === 'file' && entry.link !== undefined)
        return { header: { ...header, type: 'link', linkname: `root/${entry.link}` } };
      if (entry.type === 'file' && entry.capability !== undefined)
        Object.assign(header, {
          pax: { [CAPABILITY_EXTENSION]: Buffer.from(entry.capability, 'hex').toString('utf8') },
        });
      return entry.type === 'file' ? { header, content: contents.get(entry.path) ?? Buffer.alloc(0) } : { header };
    }),
  ];
}

export async function packTar(members: readonly Member[]): Promise<Buffer> {
  const pack = tar.pack();
  const chunks: Buffer[] = [];
  const read = (async () => {
    for await (const chunk of pack as AsyncIterable<Buffer>) chunks.push(chunk);
  })();
  for (const { header, content } of members) {
    await new Promise<void>((resolve, reject) => {
      const callback = (error?: Error | null): void => (error ? reject(error) : resolve());
      if (content) pack.entry(header, content, callback);
      else pack.entry(header, callback).end(null);
    });
  }
  pack.finalize();
  await read;
  return Buffer.concat(chunks);
}

export function compress(bytes: Buffer, ...options: string[]): Buffer {
  return execFileSync('zstd', ['-q', '-c', ...options], { input: bytes, maxBuffer: 1024 ** 3 });
}

export interface TestImage {
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly archive: Buffer;
  readonly statement: SignedStatement;
}

export function signImage(
  manifest: ImageManifest,
  archive: Buffer,
  key: SigningKey,
  changes: Partial<SignedStatement> = {},
): TestImage {
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  const open = {
    schema: 1 as const,
    name: manifest.name,
    version: manifest.version,
    contentDigest: manifest.contentDigest,
    manifestDigest: sha256(manifestBytes),
    manifestBytes: manifestBytes.length,
    archiveDigest: sha256(archive),
    archiveBytes: archive.length,
    keyId: key.id,
    ...changes,
  };
  const signature = sign(null, Buffer.from(signedText(open)), key.privateKey).toString('base64');
  return { manifest, manifestBytes, archive, statement: { signature, ...open } };
}

export async function makeImage(tree: Tree, key: SigningKey, changes: Partial<ImageManifest> = {}): Promise<TestImage> {
  const { entries, contents } = entriesOf(tree);
  return signImage(makeManifest(entries, changes), compress(await packTar(membersOf(entries, contents))), key);
}

export function promotionOf(image: TestImage, sources: readonly string[], to?: readonly string[]): ImagePromoted {
  const { name, version, contentDigest, manifestDigest, archiveDigest, archiveBytes } = image.statement;
  const unpackedBytes = image.manifest.totals.bytes;
  return {
    name,
    version,
    contentDigest,
    manifestDigest,
    archiveDigest,
    archiveBytes,
    unpackedBytes,
    sources: [...sources],
    ...(to ? { to: [...to] } : {}),
  };
}
