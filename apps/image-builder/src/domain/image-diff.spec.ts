import { describe, expect, it } from '@jest/globals';
import {
  comparePaths,
  type Digest,
  type ImageManifest,
  type ImagePackage,
  type ManifestEntry,
  type WritablePlace,
} from '@plinth/contracts';
import { cutList, cutText } from './cut-list.js';
import { diffFiles } from './file-diff.js';
import { type DiffLimits, diffImages, type DiffSide } from './image-diff.js';
import { diffPackages } from './package-diff.js';

const digest = (text: string): Digest => `sha256:${text.padEnd(64, '0')}`;
const owner = { mode: 0o644, uid: 0, gid: 0, mtime: 1 };
const file = (path: string, content = 'a', more: object = {}): ManifestEntry => ({
  path,
  type: 'file',
  ...owner,
  size: content.length,
  digest: digest(content),
  ...more,
});
const link = (path: string, target: string): ManifestEntry => ({ path, type: 'symlink', ...owner, target });
const directory = (path: string): ManifestEntry => ({ path, type: 'directory', ...owner });
const sorted = (...entries: ManifestEntry[]): ManifestEntry[] => entries.sort((a, b) => comparePaths(a.path, b.path));

describe('diffFiles', () => {
  const cases: readonly [string, readonly ManifestEntry[], readonly ManifestEntry[], readonly string[], number][] = [
    ['nothing', [], [], [], 0],
    ['the same', [file('a')], [file('a')], [], 0],
    ['the first, added', [file('b')], [file('a'), file('b')], ['added /a null>1'], 0],
    ['the last, removed', [file('a'), file('b')], [file('a')], ['removed /b 1>null'], 0],
    ['other content', [file('a', 'x')], [file('a', 'yy')], ['changed /a content 1>2'], 0],
    [
      'everything about it',
      [file('a', 'x')],
      [file('a', 'y', { mode: 0o4755, uid: 7 })],
      ['changed /a content,mode,owner 1>1'],
      0,
    ],
    ['a capability', [file('a')], [file('a', 'a', { capability: '01' })], ['changed /a capability 1>1'], 0],
    [
      'a copy that became a name of another file',
      [file('b')],
      [file('b', 'a', { link: 'a' })],
      ['changed /b link 1>1'],
      0,
    ],
    ['another group', [file('a')], [file('a', 'a', { gid: 5 })], ['changed /a owner 1>1'], 0],
    ['only its time', [file('a')], [file('a', 'a', { mtime: 2 })], [], 1],
    ['a link elsewhere', [link('a', 'b')], [link('a', 'c')], ['changed /a target null>null'], 0],
    ['a file that became a link', [file('a')], [link('a', 'b')], ['changed /a type 1>null'], 0],
    [
      'a directory that became a file, with what was in it',
      [directory('a'), file('a/b')],
      [file('a')],
      ['changed /a type null>1', 'removed /a/b 1>null'],
      0,
    ],
    ['the root', [directory('.')], [{ ...directory('.'), mode: 0o700 }], ['changed / mode null>null'], 0],
    [
      'names in the order of bytes, not of UTF-16',
      [file('\u{10000}')],
      sorted(file('\uffff'), file('\u{10000}')),
      ['added /\uffff null>1'],
      0,
    ],
  ];
  it.each(cases)('%s', (_what, from, to, lines, touched) => {
    const diff = diffFiles(from, to);
    expect(
      diff.changes.map(({ path, change, aspects, fromBytes, toBytes }) =>
        [change, path, ...(aspects.length > 0 ? [aspects.join(',')] : []), `${fromBytes}>${toBytes}`].join(' '),
      ),
    ).toEqual(lines);
    expect(diff.touched).toBe(touched);
  });
});

describe('diffPackages', () => {
  const bash = (version: string, architecture = 'amd64'): ImagePackage => ({ name: 'bash', version, architecture });
  const cases: readonly [string, readonly ImagePackage[], readonly ImagePackage[], object][] = [
    ['nothing', [], [], { added: [], removed: [], changed: [] }],
    [
      'one more',
      [],
      [bash('1')],
      { added: [{ name: 'bash', architecture: 'amd64', from: null, to: '1' }], removed: [], changed: [] },
    ],
    [
      'one less',
      [bash('1')],
      [],
      { added: [], removed: [{ name: 'bash', architecture: 'amd64', from: '1', to: null }], changed: [] },
    ],
    [
      'another version',
      [bash('1')],
      [bash('2')],
      { added: [], removed: [], changed: [{ name: 'bash', architecture: 'amd64', from: '1', to: '2' }] },
    ],
    [
      'another architecture beside it',
      [bash('1')],
      [bash('1'), bash('1', 'arm64')],
      { added: [{ name: 'bash', architecture: 'arm64', from: null, to: '1' }], removed: [], changed: [] },
    ],
  ];
  it.each(cases)('%s', (_what, from, to, expected) => expect(diffPackages(from, to)).toEqual(expected));
});

describe('cutting', () => {
  it.each([
    [['aaa', 'bbb'], 12, 2],
    [['aaa', 'bbb'], 11, 1],
    [['aaa', 'bbb'], 0, 0],
    // Bytes, not characters, and with what JSON adds to them.
    [['\u00e4\u00e4', '"'], 7, 1],
    [[], 10, 0],
  ])('of %j at %d bytes leaves %d', (items, bytes, left) =>
    expect(cutList(items, bytes)).toEqual({ items: items.slice(0, left), total: items.length }),
  );
  it('of a text adds its length', () => expect(cutText('abcdef', 3)).toBe('abc… (6 characters)'));
});

const place = (path: string, bytes = 1): WritablePlace => ({ path, bytes, inodes: 1, content: 'overlay', mode: 0o755 });
const BASE = {
  schema: 1,
  name: 'debian',
  version: 'v1',
  architecture: 'amd64',
  contentDigest: digest('1'),
  recipeDigest: digest('2'),
  mountPlan: { schema: 1, places: [place('/etc')] },
  mountScript: { digest: digest('3'), bytes: 1, custom: false },
  environment: { LANG: 'C' },
  timezone: 'UTC',
  command: ['/bin/sh'],
  stopSignal: 'SIGTERM',
  totals: { entries: 1, bytes: 1 },
  entries: [directory('.')],
} as const satisfies ImageManifest;
const side = (changes: Partial<ImageManifest> = {}, packages: readonly ImagePackage[] | null = []): DiffSide => ({
  manifest: { ...BASE, ...changes },
  packages,
  state: 'promoted',
  archiveBytes: 5,
});
const LIMITS: DiffLimits = { bytes: 100_000, files: 100, skip: 0 };

describe('diffImages', () => {
  it('finds nothing between twins', () => {
    const diff = diffImages(
      side(),
      side({ version: 'v2', mountScript: { ...BASE.mountScript, digest: digest('4') } }),
      LIMITS,
    );
    expect(diff).toMatchObject({
      from: { image: 'debian@v1', archiveBytes: 5 },
      to: { image: 'debian@v2' },
      places: [],
      settings: [],
      environment: { items: [], total: 0 },
    });
    expect(diff.files).toEqual({ added: 0, removed: 0, changed: 0, touched: 0, items: [] });
  });

  const settings: readonly [string, Partial<ImageManifest>, string, string][] = [
    ['time zone', { timezone: 'Asia/Tokyo' }, 'UTC', 'Asia/Tokyo'],
    ['command', { command: ['/sbin/init', 'a b'] }, '["/bin/sh"]', '["/sbin/init","a b"]'],
    ['stop signal', { stopSignal: 'SIGINT' }, 'SIGTERM', 'SIGINT'],
    ['architecture', { architecture: 'arm64' }, 'amd64', 'arm64'],
    ['parent', { parent: 'debian@v1' }, 'none', 'debian@v1'],
    [
      'mount script',
      { mountScript: { digest: digest('9'), bytes: 1, custom: true } },
      'generated',
      `the recipe's own, ${digest('9')}`,
    ],
  ];
  it.each(settings)('%s', (what, changes, from, to) =>
    expect(diffImages(side(), side(changes), LIMITS).settings).toEqual([{ what, from, to }]),
  );

  it('names places and variables that differ', () => {
    const to = side({
      mountPlan: { schema: 1, places: [place('/etc', 2), place('/var')] },
      environment: { constructor: 'x', LANG: 'C' },
    });
    const diff = diffImages(side({ environment: { LANG: 'C', OLD: '' } }), to, LIMITS);
    expect(diff.places).toEqual([
      { path: '/etc', from: place('/etc'), to: place('/etc', 2) },
      { path: '/var', from: null, to: place('/var') },
    ]);
    expect(diff.environment.items).toEqual([
      { name: 'OLD', from: '', to: null },
      { name: 'constructor', from: null, to: 'x' },
    ]);
  });

  it('names the image without recorded packages, and compares none then', () => {
    const packages = [{ name: 'bash', version: '1', architecture: 'amd64' }];
    expect(diffImages(side({}, null), side({ version: 'v2' }, packages), LIMITS).packages).toMatchObject({
      unknownOf: ['debian@v1'],
      added: { total: 0 },
    });
    expect(diffImages(side(), side({ version: 'v2' }, packages), LIMITS).packages).toMatchObject({
      unknownOf: [],
      added: { total: 1 },
    });
  });

  it('gives all files in as many replies as it takes, each below the limit, and those of /etc apart', () => {
    const entries = [
      directory('.'),
      ...Array.from({ length: 300 }, (_, index) =>
        file(`${index < 20 ? 'etc/' : 'usr/'}${String(index).padStart(3, '0')}`),
      ),
    ];
    const seen: string[] = [];
    let replies = 0;
    for (let skip: number | undefined = 0; skip !== undefined; replies++) {
      const diff = diffImages(side(), side({ entries }), { bytes: 10_000, files: 10_000, skip });
      expect(Buffer.byteLength(JSON.stringify(diff))).toBeLessThan(10_000);
      expect(diff).toMatchObject({ files: { added: 300 }, etc: { total: 20 } });
      seen.push(...diff.files.items.map(({ path }) => path));
      skip = diff.files.next === undefined ? undefined : Number(diff.files.next);
    }
    expect(seen).toEqual(entries.slice(1).map(({ path }) => `/${path}`));
    expect(replies).toBeGreaterThan(2);
    expect(diffImages(side(), side({ entries }), { ...LIMITS, files: 5 }).files).toMatchObject({
      next: '5',
      items: { length: 5 },
    });
  });

  it('continues even when a single file exceeds the limit', () => {
    const diff = diffImages(side(), side({ entries: [directory('.'), file('a'.repeat(200)), file('b')] }), {
      bytes: 10,
      files: 10,
      skip: 0,
    });
    expect(diff.files).toMatchObject({ items: { length: 1 }, next: '1' });
  });
});
