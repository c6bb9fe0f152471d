import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { Digest, ManifestEntry } from '@plinth/contracts';
import fc from 'fast-check';
import { type DeltaSegment, type Piece, planDelta, SEGMENT_LIMITS } from './delta-plan.js';

const MIB = 1024 ** 2;
const digest = (content: string): Digest => `sha256:${createHash('sha256').update(content).digest('hex')}`;
/** @param content whose digest it has; the size is the caller's */
const file = (path: string, content: string, size = 100, link?: string): ManifestEntry => ({
  path,
  type: 'file',
  ...{ mode: 0o644, uid: 0, gid: 0, mtime: 0, size, digest: digest(content) },
  ...(link === undefined ? {} : { link }),
});
const directory: ManifestEntry = { path: '.', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0 };
const symlink: ManifestEntry = { ...directory, path: 'l', type: 'symlink', target: 'x' };
const total = (pieces: readonly Piece[]): number => pieces.reduce((sum, { bytes }) => sum + bytes, 0);
const shown = (segments: readonly DeltaSegment[]): string[] =>
  segments.map(({ references, targets }) =>
    [references, targets]
      .map((pieces) => pieces.map(({ path, offset, bytes }) => `${path}[${offset}+${bytes}]`).join(' '))
      .join(' → '),
  );

const cases: readonly [string, readonly ManifestEntry[], readonly ManifestEntry[], readonly string[]][] = [
  ['nothing for the same contents', [file('a', 'x')], [directory, file('b', 'x'), symlink], []],
  ['a changed file against its own name', [file('a', 'x', 90)], [file('a', 'y')], ['a[0+90] → a[0+100]']],
  ['a new file against nothing', [file('a', 'x')], [file('a', 'x'), file('b', 'y')], [' → b[0+100]']],
  [
    'a library of the next version against the former',
    [file('lib/libssl.so.3.0.11', 'x'), file('lib/libz.so.1', 'z')],
    [file('lib/libssl.so.3.0.13', 'y'), file('lib/libz.so.1', 'z')],
    ['lib/libssl.so.3.0.11[0+100] → lib/libssl.so.3.0.13[0+100]'],
  ],
  [
    'not against a file that stays, or one that is much larger',
    [file('a1', 'stays'), file('a2', 'large', 1_000_000)],
    [file('a1', 'stays'), file('a3', 'y')],
    [' → a3[0+100]'],
  ],
  ['one content once, under its first name', [], [file('a', 'x'), file('b', 'x')], [' → a[0+100]']],
  ['a hard link once', [], [file('a', 'x'), file('b', 'x', 100, 'a')], [' → a[0+100]']],
  ['no empty file', [], [file('a', '', 0)], []],
  [
    'a large file in pieces, each against its surroundings',
    [file('db', 'x', 100 * MIB)],
    [file('db', 'y', 70 * MIB)],
    [
      `db[0+${40 * MIB}] → db[0+${32 * MIB}]`,
      `db[${24 * MIB}+${48 * MIB}] → db[${32 * MIB}+${32 * MIB}]`,
      `db[${56 * MIB}+${22 * MIB}] → db[${64 * MIB}+${6 * MIB}]`,
    ],
  ],
  [
    'a reference once for two files that are alike',
    [file('a1', 'x')],
    [file('a2', 'y'), file('a3', 'z')],
    ['a1[0+100] → a2[0+100] a3[0+100]'],
  ],
];

describe('the plan of a delta', () => {
  it.each(cases)('sends %s', (_, base, next, expected) => {
    expect(shown(planDelta(base, next))).toEqual(expected);
  });

  it('holds each content that is lacking once, whole, and within the limits', () => {
    const path = fc.stringMatching(/^[ab][0-9]{0,2}$/);
    const size = fc.oneof(
      fc.nat(5000),
      fc.integer({ min: 30 * MIB, max: 34 * MIB }),
      fc.integer({ min: 90 * MIB, max: 200 * MIB }),
    );
    // The size follows from the content, as it does in a tree.
    const content = fc.tuple(fc.constantFrom('p', 'q', 'r', 's', 't'), size);
    const tree = fc
      .uniqueArray(fc.tuple(path, content), { selector: ([name]) => name, maxLength: 12 })
      .map((files) => files.map(([name, [letter, bytes]]) => file(name, `${letter}${bytes}`, bytes)));
    fc.assert(
      fc.property(tree, tree, (base, next) => {
        const segments = planDelta(base, next);
        expect(planDelta([...base], [...next])).toEqual(segments);
        const has = new Set(base.map((entry) => (entry.type === 'file' ? entry.digest : '')));
        const wanted = new Map(
          next.flatMap((entry) =>
            entry.type === 'file' && entry.size > 0 && !has.has(entry.digest) ? [[entry.digest, entry.size]] : [],
          ),
        );
        const sent = new Map<string, number>();
        const wrong: string[] = [];
        const holds = (what: string, isSo: boolean): unknown => isSo || wrong.push(what);
        for (const { targets, references, targetBytes, referenceBytes } of segments) {
          holds('a segment has content', targets.length > 0);
          holds('bytes of targets', targetBytes === total(targets));
          holds('bytes of references', referenceBytes === total(references));
          holds('room of targets', targetBytes <= SEGMENT_LIMITS.targetBytes);
          holds('room of references', referenceBytes <= SEGMENT_LIMITS.referenceBytes + 64 * 1024);
          for (const target of targets) {
            const entry = next.find((one) => one.path === target.path);
            const of = entry?.type === 'file' ? entry.digest : '';
            holds('pieces follow each other without a gap', target.offset === (sent.get(of) ?? 0));
            sent.set(of, target.offset + target.bytes);
          }
          for (const { path: name, offset, bytes } of references) {
            const entry = base.find((one) => one.path === name);
            holds('a reference is in the base', entry?.type === 'file' && offset + bytes <= entry.size);
          }
        }
        expect(wrong).toEqual([]);
        expect(sent).toEqual(wanted);
      }),
      { numRuns: 200 },
    );
  });
});
