/** Installation of a version from another one: what a delta saves, and that nothing hostile in it is ever installed. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import {
  DELTA_FILES,
  type DeltaFile,
  type DeltaIndex,
  packDocument,
  packSegment,
  planDelta,
} from '@plinth/image-delta';
import { checkVersion, FileReader } from '@plinth/image-store';
import { TrustedKeys } from '@plinth/image-trust';
import { fillTree } from './fill-tree.js';
import { InstalledImages } from './installed-images.js';
import { Staging } from './staging.js';
import { StoreLayout } from './domain/store-layout.js';
import { type Answer, correctAnswer, HostileRepository } from './testing/hostile-repository.js';
import { makeImage, makeKey, promotionOf, sha256, type TestImage, trust } from './testing/image-fixture.js';
import { Installation, type InstallationResult } from './installation.js';

const { signal } = new AbortController();
const key = makeKey();
const kept = randomBytes(2 * 1024 ** 2);
const library = randomBytes(1024 ** 2);
const patched = Buffer.concat([library.subarray(0, 500_000), Buffer.from('patch'), library.subarray(500_000)]);
/** Path below the version's, and bytes; as a source offers them. */
const delta = new Map<string, Buffer>();
let scratch: string;
let first: TestImage;
let second: TestImage;
let repository: HostileRepository;
let storage: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-delta-installation-'));
  trust(join(scratch, 'keys'), key);
  first = await makeImage(
    { 'usr/kept': kept, 'usr/lib/libx.so.1.0': library, 'etc/name': 'one', 'etc/gone': 'x' },
    key,
  );
  const next = {
    'usr/kept': kept,
    'usr/same': kept,
    'usr/lib/libx.so.1.1': patched,
    'etc/name': 'two',
    'etc/empty': '',
  };
  second = await makeImage(next, key, { version: 'v2' });
  repository = await new HostileRepository().start();
  storage = join(scratch, 'packed');
  await install(first);
  await install(second);
  await packInto(delta);
  await repository.stop();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  storage = mkdtempSync(join(scratch, 'storage-'));
  repository = await new HostileRepository().start();
});
afterEach(() => repository.stop());

const version = (number: 1 | 2, ...path: string[]): string => join(storage, `images/tiny/v${number}`, ...path);

async function install(image: TestImage, source = repository.put(image)): Promise<InstallationResult> {
  const layout = new StoreLayout(storage);
  const staging = new Staging(layout);
  await staging.prepare();
  const parts = {
    ...{ images: new InstalledImages(layout), staging, keys: new TrustedKeys(join(scratch, 'keys')) },
    extract: fillTree,
    check: async (directory: string) => checkVersion(directory, layout.objects, new FileReader()) ?? [],
    stallMs: 5_000,
  };
  const result = await new Installation(parts, promotionOf(image, [source]), 0, signal).run();
  if (result.outcome.ok) await staging.clean(image.statement, false);
  return result;
}

/** What an image-builder makes of the two versions that stand in the storage directory. */
async function packInto(files: Map<string, Buffer>): Promise<void> {
  const work = mkdtempSync(join(scratch, 'pack-'));
  const target = join(work, 'packed');
  const add = (name: string): DeltaFile => {
    const bytes = readFileSync(target);
    files.set(name, bytes);
    return { bytes: bytes.length, digest: sha256(bytes) };
  };
  const segments: DeltaFile[] = [];
  const plan = planDelta(first.manifest.entries, second.manifest.entries);
  for (const [number, segment] of plan.entries()) {
    await packSegment({ segment, base: version(1, 'root'), next: version(2, 'root'), scratch: work, signal }, target);
    segments.push(add(DELTA_FILES.segment(number)));
  }
  await packDocument(version(1, 'manifest.json'), version(2, 'manifest.json'), target, signal);
  const manifest = add(DELTA_FILES.manifest);
  await packDocument(version(1, 'mount.sh'), version(2, 'mount.sh'), target, signal);
  const index: DeltaIndex = {
    format: 1,
    ...{ base: first.manifest.contentDigest, next: second.manifest.contentDigest },
    ...{ manifest, mountScript: add(DELTA_FILES.mountScript), segments },
  };
  files.set(DELTA_FILES.index, Buffer.from(JSON.stringify(index)));
}

/** Offers the second version with a delta from the first. @param changes files of the delta that are others */
function offer(changes: Readonly<Record<string, Buffer | Answer>> = {}): string {
  const source = repository.put(second);
  for (const [name, bytes] of delta) {
    const change = changes[name];
    const [body, answer] = typeof change === 'function' ? [bytes, change] : [change ?? bytes, correctAnswer];
    repository.putFile(`/images/x/delta/tiny@v1/${name}`, body, answer);
  }
  return source;
}

/** The whole tree, verified against the manifest. */
function expectSecond(result: InstallationResult): void {
  expect(result.outcome).toMatchObject({ ok: true, value: { contentDigest: second.manifest.contentDigest } });
  expect(checkVersion(version(2), new StoreLayout(storage).objects, new FileReader())).toEqual([]);
  expect(readFileSync(version(2, 'root/usr/lib/libx.so.1.1')).equals(patched)).toBe(true);
  expect(readFileSync(version(2, 'manifest.json')).equals(second.manifestBytes)).toBe(true);
  expect(existsSync(version(2, 'root/etc/gone'))).toBe(false);
  expect(readdirSync(join(storage, 'staging'))).toEqual([]);
}

const archives = (): number => repository.requests.filter(({ path }) => path.endsWith('.tar.zst')).length;

it('fetches what differs, and shares the rest with the version that stands', async () => {
  await install(first);
  const before = archives();
  const result = await install(second, offer());
  expectSecond(result);
  expect(result).toMatchObject({ deltaFrom: 'tiny@v1' });
  expect(result.deltaProblem).toBeUndefined();
  expect(archives()).toBe(before);
  expect(result.downloadedBytes).toBeLessThan(5_000);
  const inode = (number: 1 | 2): number => statSync(version(number, 'root/usr/kept')).ino;
  expect(inode(2)).toBe(inode(1));
});

it('fetches the archive when no other version stands', async () => {
  const result = await install(second, offer());
  expectSecond(result);
  expect(result.downloadedBytes).toBe(second.archive.length);
  expect(result.deltaProblem).toBeUndefined();
});

it('waits for a delta that is being made', async () => {
  await install(first);
  let asked = 0;
  const making: Answer = (request, response, body) => {
    if (++asked > 2) correctAnswer(request, response, body);
    else response.writeHead(503, { 'retry-after': '1' }).end();
  };
  const result = await install(second, offer({ [DELTA_FILES.index]: making }));
  expectSecond(result);
  expect([asked, result.deltaFrom]).toEqual([3, 'tiny@v1']);
});

it('goes on where the connection was cut', async () => {
  await install(first);
  const name = DELTA_FILES.manifest;
  let cuts = 0;
  const cut: Answer = (request, response, body) => {
    if (cuts++ > 0) return correctAnswer(request, response, body);
    response.writeHead(200, { 'content-length': body.length });
    response.write(body.subarray(0, 20), () => setTimeout(() => response.destroy(), 20));
  };
  const source = offer({ [name]: cut });
  // Too little came to go on at once: the archive is taken.
  expectSecond(await install(second, source));
  rmSync(version(2), { recursive: true });
  expect((await install(second, source)).deltaFrom).toBe('tiny@v1');
});

const other = (change: (index: Record<string, unknown>) => unknown): (() => Buffer) => {
  return () => Buffer.from(JSON.stringify(change(JSON.parse(String(delta.get(DELTA_FILES.index))) as never)));
};
/** A segment whose size and digest the index gives rightly, and which is not what it should be. */
function lyingSegment(bytes: Buffer): Readonly<Record<string, Buffer>> {
  const lied = other((index) => ({ ...index, segments: [{ bytes: bytes.length, digest: sha256(bytes) }] }))();
  return { [DELTA_FILES.index]: lied, [DELTA_FILES.segment(0)]: bytes };
}
const missing: Answer = (_, response) => response.writeHead(404).end();
const hostile: readonly [string, () => Readonly<Record<string, Buffer | Answer>>, RegExp][] = [
  ['a delta that is not there', () => ({ [DELTA_FILES.index]: missing }), /status 404/],
  ['an index that is none', () => ({ [DELTA_FILES.index]: Buffer.from('[1]') }), /no index/],
  ['another format', () => ({ [DELTA_FILES.index]: other((i) => ({ ...i, format: 2 }))() }), /no index/],
  ['another base', () => ({ [DELTA_FILES.index]: other((i) => ({ ...i, base: sha256('x') }))() }), /other versions/],
  ['too few segments', () => ({ [DELTA_FILES.index]: other((i) => ({ ...i, segments: [] }))() }), /0 segments, 1 were/],
  [
    'a size of a petabyte',
    () => ({ [DELTA_FILES.index]: other((i) => ({ ...i, manifest: { bytes: 2 ** 50, digest: sha256('x') } }))() }),
    /larger than the archive/,
  ],
  [
    'a segment that is cut off',
    () => ({ [DELTA_FILES.segment(0)]: delta.get(DELTA_FILES.segment(0))!.subarray(0, 40) }),
    /bytes/,
  ],
  ['a segment of noise', () => lyingSegment(randomBytes(500)), /segment-0.zst.*zstd/],
  ['a segment of other content', () => lyingSegment(delta.get(DELTA_FILES.mountScript)!), /segment-0.zst/],
  [
    'a manifest of other content',
    () => ({ [DELTA_FILES.manifest]: delta.get(DELTA_FILES.mountScript)! }),
    /bytes|digest/,
  ],
];
it.each(hostile)('takes the archive in place of %s', async (_, changes, problem) => {
  await install(first);
  const result = await install(second, offer(changes()));
  expectSecond(result);
  expect(result.deltaFrom).toBeUndefined();
  expect(result.deltaProblem).toMatch(problem);
});

it('takes the archive when the base is damaged on disk, and installs none of the damage', async () => {
  await install(first);
  // The object of `usr/kept` is shared, so both versions have it: only a check finds that. The library is read.
  for (const file of ['usr/lib/libx.so.1.0']) {
    const path = version(1, 'root', file);
    const bytes = readFileSync(path);
    bytes[700_000]! ^= 1;
    writeFileSync(path, bytes);
  }
  const result = await install(second, offer());
  expectSecond(result);
  expect(result.deltaProblem).toMatch(/segment-0.zst/);
});

it('takes the archive when the base lacks a file', async () => {
  await install(first);
  rmSync(version(1, 'root/usr/lib/libx.so.1.0'));
  const result = await install(second, offer());
  expectSecond(result);
  expect(result.deltaProblem).toMatch(/libx/);
});
