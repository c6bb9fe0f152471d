/**
 * Images of the largest sizes, on file systems of their own: `PLINTH_TEST_LARGE=1 npm run test:int -- large-images`. It
 * takes minutes and some gigabytes; without the variable only a smaller form of it runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, lstatSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ManifestEntry } from '@plinth/contracts';
import { checkTree, collectObjects, extractArchive, FileReader } from '@plinth/image-store';
import { type LoopFileSystem, loopFileSystem } from '@plinth/testkit';
import tar from 'tar-stream';
import { entriesOf, makeManifest, type Member, membersOf, type Tree } from './testing/image-fixture.js';

const MIB = 1024 ** 2;
const isLarge = process.env['PLINTH_TEST_LARGE'] === '1';
const FILES = isLarge ? 200_000 : 500;
/** More than 32 bits count. */
const BYTES = isLarge ? 4 * 1024 ** 3 + 1 : 8 * MIB + 1;
const CHUNK = Buffer.alloc(MIB);

const scratch = mkdtempSync(join(tmpdir(), 'plinth-large-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function writeZeros(entry: ReturnType<tar.Pack['entry']>, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= CHUNK.length)
    if (!entry.write(CHUNK.subarray(0, Math.min(left, CHUNK.length))))
      await new Promise<void>((resolve) => entry.once('drain', () => resolve()));
  entry.end(null);
}

/** Packs without holding the archive in memory. @param zeros bytes of a file without contents of its own, by name */
async function pack(members: readonly Member[], zeros: ReadonlyMap<string, number>, path: string): Promise<void> {
  const archive = tar.pack();
  const zstd: ChildProcess = spawn('zstd', ['-q', '-1', '-f', '-o', path], { stdio: ['pipe', 'inherit', 'inherit'] });
  const exit = once(zstd, 'exit');
  if (!zstd.stdin) throw new Error('zstd has no standard input');
  const piped = pipeline(archive, zstd.stdin);
  for (const { header, content } of members) {
    const bytes = zeros.get(header.name);
    await new Promise<void>((resolve, reject) => {
      const ended = (error?: Error | null): void => (error ? reject(error) : resolve());
      if (bytes !== undefined) void writeZeros(archive.entry({ ...header, size: bytes }, ended), bytes).catch(reject);
      else if (content) archive.entry(header, content, ended);
      else archive.entry(header, ended).end(null);
    });
  }
  archive.finalize();
  await piped;
  expect(await exit).toEqual([0, null]);
}

function digestOfZeros(bytes: number): `sha256:${string}` {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= CHUNK.length) hash.update(CHUNK.subarray(0, Math.min(left, CHUNK.length)));
  return `sha256:${hash.digest('hex')}`;
}

describe.each(['ext4', 'btrfs'] as const)('on %s', (type) => {
  let disk: LoopFileSystem;
  let store: string;

  beforeAll(() => {
    // btrfs needs 110 MiB for itself.
    disk = loopFileSystem(scratch, type, isLarge ? 12_288 : 512);
    store = join(disk.path, 'store');
    mkdirSync(store);
  });
  afterAll(() => disk?.close());

  async function fill(tree: Tree, change: (entry: ManifestEntry) => ManifestEntry, zeros = new Map<string, number>()) {
    const made = entriesOf(tree);
    const entries = made.entries.map(change);
    const path = join(scratch, 'archive');
    await pack(membersOf(entries, made.contents), zeros, path);
    const place = mkdtempSync(join(store, 'case-'));
    const directory = join(place, 'tree');
    mkdirSync(directory);
    const archive = openSync(path, 'r');
    const [objects, manifest] = [join(place, 'objects'), makeManifest(entries)];
    try {
      const outcome = await extractArchive({ archive, directory, manifest, objects });
      expect(outcome).toMatchObject({ ok: true });
    } finally {
      closeSync(archive);
      rmSync(path);
    }
    const root = join(directory, 'root');
    expect(checkTree(root, entries, new FileReader())).toEqual([]);
    return { root, objects, place };
  }

  it(`fills, checks and collects ${FILES} small files`, async () => {
    const tree: Record<string, string> = {};
    for (let number = 0; number < FILES; number++) tree[`srv/${number % 512}/file-${number}`] = `${number}`;
    const { root, objects, place } = await fill(tree, (entry) => entry);
    expect(readdirSync(join(root, 'srv'))).toHaveLength(Math.min(FILES, 512));
    expect(lstatSync(join(root, 'srv/1/file-1')).size).toBe(1);
    rmSync(join(place, 'tree'), { recursive: true });
    expect(await collectObjects(objects, Date.now())).toMatchObject({ keptBytes: 0 });
    rmSync(place, { recursive: true });
  });

  it(`fills a file of ${BYTES} bytes`, async () => {
    const digest = digestOfZeros(BYTES);
    const { root, place } = await fill(
      { 'srv/large': '' },
      (entry) => (entry.path === 'srv/large' ? ({ ...entry, size: BYTES, digest } as ManifestEntry) : entry),
      new Map([['root/srv/large', BYTES]]),
    );
    expect(lstatSync(join(root, 'srv/large')).size).toBe(BYTES);
    rmSync(place, { recursive: true });
  });

  it('has names of 255 bytes', async () => {
    const name = 'n'.repeat(255);
    const { root } = await fill({ [`${name}/${name}/${name}`]: 'long' }, (entry) => entry);
    expect(lstatSync(join(root, name, name, name)).size).toBe(4);
  });
});
