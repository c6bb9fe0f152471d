/** Segments between two real trees, with the real zstd: what is packed unpacks, and nothing else does. */
import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Digest, ManifestEntry } from '@plinth/contracts';
import { type ScratchDirectory, scratchDirectory } from '@plinth/testkit';
import { type DeltaSegment, planDelta, SEGMENT_LIMITS, type SegmentLimits } from './delta-plan.js';
import { contentName, packDocument, packSegment, unpackDocument, unpackSegment } from './segment-files.js';
import type { Expansion } from './zstd.js';

const MIB = 1024 ** 2;
let scratch: ScratchDirectory;
beforeEach(() => {
  scratch = scratchDirectory('plinth-delta-');
  for (const name of ['base', 'next', 'work', 'contents']) mkdirSync(at(name));
});
afterEach(() => scratch.stop());

const at = (...names: readonly string[]): string => join(scratch.path, ...names);
const { signal } = new AbortController();
const digestOf = (bytes: Buffer): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
/** Bytes that no program compresses, the same at each call. */
function noise(seed: string, bytes: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(bytes / 32) }, (_, index) =>
    createHash('sha256').update(`${seed} ${index}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, bytes);
}

function tree(root: 'base' | 'next', files: Readonly<Record<string, Buffer>>): ManifestEntry[] {
  return Object.entries(files).map(([path, content]) => {
    mkdirSync(dirname(at(root, path)), { recursive: true });
    writeFileSync(at(root, path), content);
    const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    return { path, type: 'file', ...attributes, size: content.length, digest: digestOf(content) };
  });
}

/** @returns the plan, each segment packed as `segment-<number>` */
async function packed(
  base: readonly ManifestEntry[],
  next: readonly ManifestEntry[],
  limits: SegmentLimits = SEGMENT_LIMITS,
): Promise<DeltaSegment[]> {
  const segments = planDelta(base, next, limits);
  for (const [index, segment] of segments.entries()) {
    const source = { segment, base: at('base'), next: at('next'), scratch: at('work'), signal };
    await packSegment(source, at(`segment-${index}`));
  }
  return segments;
}

function unpack(
  segment: DeltaSegment | undefined,
  next: readonly ManifestEntry[],
  file = 'segment-0',
): Promise<Expansion> {
  const contentOf = (path: string): { digest: Digest; size: number } => {
    const entry = next.find((one) => one.path === path);
    if (entry?.type !== 'file') throw new Error(`${path} is no file`);
    return entry;
  };
  if (!segment) throw new Error('there is no such segment');
  const places = { base: at('base'), contents: at('contents'), scratch: at('work') };
  return unpackSegment({ ...places, segment, file: at(file), contentOf, signal });
}

const content = (bytes: Buffer): Buffer => readFileSync(at('contents', contentName(digestOf(bytes))));

it('unpacks to what the new version has, from a fraction of the bytes', async () => {
  const library = noise('library', MIB);
  const newer = Buffer.concat([library.subarray(0, 1000), Buffer.from('patched'), library.subarray(1000)]);
  const base = tree('base', { 'lib/libx.so.1.0': library, 'etc/name': Buffer.from('one\n') });
  const files = { 'lib/libx.so.1.1': newer, 'etc/name': Buffer.from('two\n'), 'etc/é "new"\n': Buffer.from('x') };
  const next = tree('next', files);
  const segments = await packed(base, next);
  expect(segments).toHaveLength(1);
  expect(statSync(at('segment-0')).size).toBeLessThan(2_000);
  expect(await unpack(segments[0], next)).toEqual({ ok: true });
  for (const bytes of Object.values(files)) expect(content(bytes).equals(bytes)).toBe(true);
  expect(readdirSync(at('work'))).toEqual([]);
});

it('unpacks a file that is larger than a segment, piece by piece', async () => {
  const large = noise('large', 5 * MIB);
  const newer = Buffer.concat([Buffer.from('moved'), large]);
  const base = tree('base', { db: large });
  const next = tree('next', { db: newer });
  const segments = await packed(base, next, { targetBytes: 4 * MIB, referenceBytes: 8 * MIB });
  expect(segments).toHaveLength(2);
  expect(statSync(at('segment-0')).size + statSync(at('segment-1')).size).toBeLessThan(20_000);
  expect(await unpack(segments[0], next)).toEqual({ ok: true });
  expect(await unpack(segments[1], next, 'segment-1')).toEqual({ ok: true });
  expect(content(newer).equals(newer)).toBe(true);
});

it('unpacks without a base', async () => {
  const next = tree('next', { a: Buffer.from('content') });
  const segments = await packed([], next);
  expect(await unpack(segments[0], next)).toEqual({ ok: true });
  expect(content(Buffer.from('content')).toString()).toBe('content');
});

const refusals: readonly [string, () => void, RegExp][] = [
  ['is cut off', () => truncateSync(at('segment-0'), statSync(at('segment-0')).size - 5), /zstd|ends before/],
  ['is empty', () => truncateSync(at('segment-0'), 0), /zstd|ends before|0 bytes/],
  ['is noise', () => writeFileSync(at('segment-0'), randomBytes(1000)), /zstd/],
  ['is another one', () => writeFileSync(at('segment-0'), readFileSync(at('other'))), /digest|zstd|bytes/],
  ['unpacks to too much', () => writeFileSync(at('segment-0'), readFileSync(at('bomb'))), /more than the \d+ bytes/],
  ['has a base that is damaged', () => writeFileSync(at('base/a'), noise('wrong', 50_000)), /digest|zstd/],
];
it.each(refusals)('refuses a segment that %s', async (_, damage, expected) => {
  const base = tree('base', { a: noise('a', 50_000) });
  const next = tree('next', { a: Buffer.concat([noise('a', 50_000), Buffer.from('!')]) });
  const segments = await packed(base, next);
  const other = { segment: segments[0]!, base: at('base'), next: at('other-next'), scratch: at('work'), signal };
  mkdirSync(at('other-next'));
  writeFileSync(at('other-next/a'), noise('b', 50_001));
  await packSegment(other, at('other'));
  writeFileSync(at('zeros'), Buffer.alloc(64 * MIB));
  await packDocument(at('base/a'), at('zeros'), at('bomb'), signal);
  damage();
  const refused = await unpack(segments[0], next);
  expect(refused).toEqual({ ok: false, message: expect.stringMatching(expected) });
  expect(readdirSync(at('work'))).toEqual([]);
});

it('fails when the base lacks a piece, and follows no link in its place', async () => {
  const base = tree('base', { a: Buffer.from('first') });
  const next = tree('next', { a: Buffer.from('second') });
  const segments = await packed(base, next);
  truncateSync(at('base/a'), 2);
  await expect(unpack(segments[0], next)).rejects.toThrow('a ends before byte 5');
  rmSync(at('base/a'));
  symlinkSync('/etc/passwd', at('base/a'));
  await expect(unpack(segments[0], next)).rejects.toMatchObject({ code: 'ELOOP' });
});

it('makes a document of the former one', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `{"path":"${noise(String(index), 20).toString('hex')}"}`);
  writeFileSync(at('one.json'), lines.join('\n'));
  const changed = lines.with(5_000, '{"path":"changed"}').join('\n');
  writeFileSync(at('two.json'), changed);
  await packDocument(at('one.json'), at('two.json'), at('document'), signal);
  expect(statSync(at('document')).size).toBeLessThan(500);
  const whole = await unpackDocument(at('one.json'), at('document'), changed.length, signal);
  expect(whole.ok && whole.document?.toString() === changed).toBe(true);
  expect(await unpackDocument(at('one.json'), at('document'), changed.length - 1, signal)).toMatchObject({ ok: false });
});

it('ends with the signal', async () => {
  const aborted = AbortSignal.abort(new Error('the service ends'));
  const next = tree('next', { a: Buffer.from('content') });
  const [segment] = planDelta([], next);
  const source = { segment: segment!, base: at('base'), next: at('next'), scratch: at('work'), signal: aborted };
  await expect(packSegment(source, at('segment-0'))).rejects.toThrow('the service ends');
});
