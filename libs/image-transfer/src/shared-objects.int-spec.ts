/** Trees that stand on one directory of objects. Needs root and mkfs.ext4. */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ManifestEntry } from '@plinth/contracts';
import { removeAttribute, setAttribute } from '@plinth/host-os';
import {
  checkTree,
  collectObjects,
  FileReader,
  type FillSummary,
  repairTree,
  type TreeProblem,
} from '@plinth/image-store';
import { loopFileSystem, type LoopFileSystem } from '@plinth/testkit';
import { extractTo } from './testing/extraction.js';
import { compress, entriesOf, makeManifest, membersOf, packTar, type Tree } from './testing/image-fixture.js';

/** cap_net_raw=ep */
const CAPABLE = '0100000200200000000000000000000000000000';
let scratch: string;
let disk: LoopFileSystem;
let place: string;
let objects: string;
let cases = 0;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-objects-'));
  disk = loopFileSystem(scratch, 'ext4', 256);
});
afterAll(() => {
  disk?.close();
  rmSync(scratch, { recursive: true, force: true });
});
beforeEach(() => {
  place = join(disk.path, `case-${++cases}`);
  objects = join(place, 'objects');
  mkdirSync(place);
});

type Change = (entries: ManifestEntry[]) => ManifestEntry[];

async function archiveOf(tree: Tree, change: Change): Promise<{ entries: ManifestEntry[]; archive: Buffer }> {
  const made = entriesOf(tree);
  const entries = change(made.entries);
  return { entries, archive: compress(await packTar(membersOf(entries, made.contents))) };
}

/** @returns the root of a tree that stands */
async function fill(tree: Tree, change: Change = (entries) => entries): Promise<string> {
  const { entries, archive } = await archiveOf(tree, change);
  const { outcome, directory } = await extractTo(place, archive, makeManifest(entries), objects);
  expect(outcome).toMatchObject({ ok: true });
  summary = outcome.ok ? outcome.value : undefined;
  return join(directory, 'root');
}
let summary: FillSummary | undefined;

const named =
  (path: string, more: object): Change =>
  (entries) =>
    entries.map((entry) => (entry.path === path ? ({ ...entry, ...more } as ManifestEntry) : entry));
const inode = (...path: string[]): number => lstatSync(join(...path)).ino;
/** On the disk, together. */
const bytesOf = (...roots: string[]): number =>
  Number(/\d+(?=\ttotal)/.exec(execFileSync('du', ['-sc', '--block-size=1', ...roots], { encoding: 'utf8' }))?.[0]);
const objectFiles = (): string[] =>
  readdirSync(objects, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
const objectOf = (...path: string[]): string =>
  objectFiles().find((file) => inode(file) === inode(...path)) ?? 'there is none';
const collect = (): ReturnType<typeof collectObjects> => collectObjects(objects, Date.now());

describe('a second version', () => {
  const big = randomBytes(8 * 1024 ** 2);

  it('has the inodes of the first, and takes the space of what changed', async () => {
    const first = await fill({ 'usr/big': big, 'usr/same': 'same', 'etc/motd': 'one', 'etc/empty': '' });
    expect(summary).toMatchObject({ sharedFiles: 0, writtenFiles: 4 });
    const before = bytesOf(first);
    const second = await fill({ 'usr/big': big, 'opt/new-place': 'same', 'etc/motd': 'two', 'etc/empty': '' });
    expect(summary).toEqual({ sharedFiles: 3, sharedBytes: big.length + 4, writtenFiles: 1, writtenBytes: 3 });
    expect(bytesOf(first, second) - before).toBeLessThan(512 * 1024);
    expect(inode(second, 'usr/big')).toBe(inode(first, 'usr/big'));
    expect(inode(second, 'opt/new-place')).toBe(inode(first, 'usr/same'));
    expect(inode(second, 'etc/motd')).not.toBe(inode(first, 'etc/motd'));
    expect(readFileSync(join(first, 'etc/motd'), 'utf8')).toBe('one');
    expect(lstatSync(objects).mode & 0o777).toBe(0o700);
    expect(lstatSync(join(second, 'etc')).mtimeMs).toBe(1_700_000_000_000);
  });

  it.each<[string, object]>([
    ['mode', { mode: 0o4755 }],
    ['owner', { uid: 5 }],
    ['time', { mtime: 1 }],
    ['capability', { capability: CAPABLE }],
  ])('has an inode of its own for a file with another %s', async (_, more) => {
    const first = await fill({ 'usr/tool': 'tool' });
    const second = await fill({ 'usr/tool': 'tool' }, named('usr/tool', more));
    expect(inode(second, 'usr/tool')).not.toBe(inode(first, 'usr/tool'));
    const third = await fill({ 'usr/tool': 'tool' }, named('usr/tool', more));
    expect(inode(third, 'usr/tool')).toBe(inode(second, 'usr/tool'));
  });

  it('has as many inodes as the manifest has files, equal ones too', async () => {
    const tree = { 'var/a': '', 'var/b': '', 'var/c': 'x', 'var/d': 'x' };
    const [first, second] = [await fill(tree), await fill(tree)];
    const inodes = (root: string): number[] => Object.keys(tree).map((path) => inode(root, path));
    expect(new Set(inodes(first)).size).toBe(4);
    expect(inodes(second)).toEqual(inodes(first));
    expect(lstatSync(join(first, 'var/a')).nlink).toBe(3);
  });

  it('keeps files with several names together', async () => {
    const tree = { 'usr/perl': 'perl', 'usr/perl5': 'perl' };
    const link = (entries: ManifestEntry[]): ManifestEntry[] => named('usr/perl5', { link: 'usr/perl' })(entries);
    const [first, second] = [await fill(tree, link), await fill(tree, link)];
    expect(inode(second, 'usr/perl5')).toBe(inode(first, 'usr/perl'));
    expect(lstatSync(join(second, 'usr/perl')).nlink).toBe(5);
  });

  it('takes what the manifest says, whatever its archive holds for an object that is there', async () => {
    const first = await fill({ 'usr/tool': 'binary' });
    const { entries } = entriesOf({ 'usr/tool': 'binary' });
    const archive = compress(await packTar(membersOf(entries, new Map([['usr/tool', Buffer.from('BINARY')]]))));
    const { outcome, directory } = await extractTo(place, archive, makeManifest(entries), objects);
    expect(outcome).toMatchObject({ ok: true });
    expect(inode(directory, 'root/usr/tool')).toBe(inode(first, 'usr/tool'));
    expect(readFileSync(join(first, 'usr/tool'), 'utf8')).toBe('binary');
  });

  it('does not become the owner of an object by a wrong content', async () => {
    const { entries } = entriesOf({ 'usr/tool': 'binary' });
    const archive = compress(await packTar(membersOf(entries, new Map([['usr/tool', Buffer.from('BINARY')]]))));
    const { outcome } = await extractTo(place, archive, makeManifest(entries), objects);
    expect(outcome).toMatchObject({ ok: false, reason: 'manifest-mismatch' });
    expect(existsSync(objects)).toBe(false);
  });
});

describe('an object', () => {
  it.each<[string, (path: string) => void]>([
    ['size', (path) => truncateSync(path, 2)],
    ['time', (path) => utimesSync(path, 5, 5)],
    [
      'kind',
      (path) => {
        rmSync(path);
        symlinkSync('/etc/passwd', path);
      },
    ],
  ])('of a wrong %s is replaced, and the first tree is left as it is', async (_, spoil) => {
    const first = await fill({ 'usr/tool': 'binary' });
    const path = objectOf(first, 'usr/tool');
    spoil(path);
    const second = await fill({ 'usr/tool': 'binary' });
    expect(inode(second, 'usr/tool')).not.toBe(inode(first, 'usr/tool'));
    expect(readFileSync(join(second, 'usr/tool'), 'utf8')).toBe('binary');
    expect(inode(path)).toBe(inode(second, 'usr/tool'));
    expect(objectFiles()).toHaveLength(1);
  });

  it('is not looked for behind a symlink in place of its directory', async () => {
    const first = await fill({ 'usr/tool': 'binary' });
    const shard = join(objectOf(first, 'usr/tool'), '..');
    renameSync(shard, join(place, 'elsewhere'));
    symlinkSync(join(place, 'elsewhere'), shard);
    const { entries, archive } = await archiveOf({ 'usr/tool': 'binary' }, (all) => all);
    const { outcome } = await extractTo(place, archive, makeManifest(entries), objects);
    expect(outcome).toMatchObject({
      ok: false,
      reason: 'io-error',
      message: expect.stringContaining('is no directory'),
    });
    expect((await collect()).removed).toBe(0);
    expect(readdirSync(join(place, 'elsewhere'))).toHaveLength(1);
  });

  it('has copies when the file system allows it no more links', async () => {
    const tree = { 'usr/perl': 'perl', 'usr/perl5': 'perl', 'usr/tool': 'tool' };
    const link = named('usr/perl5', { link: 'usr/perl' });
    const first = await fill(tree, link);
    const many = join(place, 'many');
    mkdirSync(many);
    /** Leaves room for so many links. ext4 has 65,000 (EXT4_LINK_MAX). */
    const crowd = (file: string, room: number): void => {
      const path = join(first, file);
      for (let count = lstatSync(path).nlink; count < 65_000 - room; count++)
        linkSync(path, join(many, `${file.slice(4)}-${count}`));
    };
    crowd('usr/tool', 0);
    crowd('usr/perl', 1);
    const [second, third] = [await fill(tree, link), await fill(tree, link)];
    for (const file of Object.keys(tree)) {
      expect(inode(second, file)).not.toBe(inode(first, file));
      expect(inode(third, file)).toBe(inode(second, file));
    }
    expect(inode(third, 'usr/perl')).toBe(inode(third, 'usr/perl5'));
    expect(lstatSync(join(second, 'usr/perl'))).toMatchObject({ nlink: 5, mtimeMs: 1_700_000_000_000 });
    expect(objectOf(second, 'usr/tool')).toMatch(/\.1$/);
    expect(objectOf(second, 'usr/perl')).toMatch(/\.1$/);
  });
});

describe('the collection', () => {
  it('removes what belongs to no tree, and nothing else', async () => {
    const first = await fill({ 'usr/a': 'a', 'usr/b': 'b' });
    const second = await fill({ 'usr/b': 'b', 'usr/c': 'c' });
    rmSync(first, { recursive: true });
    expect(await collect()).toEqual({ kept: 2, keptBytes: 2, removed: 1, removedBytes: 1 });
    expect(readFileSync(join(second, 'usr/b'), 'utf8')).toBe('b');
    writeFileSync(join(objectOf(second, 'usr/b'), '..', `${'a'.repeat(62)}.00.new`), '');
    // It is young: a fill may be about to use it.
    expect((await collect()).removed).toBe(0);
    expect((await collectObjects(objects, Date.now() + 7_200_000)).removed).toBe(1);
    rmSync(second, { recursive: true });
    expect((await collect()).removed).toBe(2);
    expect(objectFiles()).toEqual([]);
  });

  it('finds nothing where there is no directory', async () => {
    expect(await collect()).toEqual({ kept: 0, keptBytes: 0, removed: 0, removedBytes: 0 });
  });

  it('harms no tree that is filled meanwhile, by other processes too', async () => {
    const tree = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`srv/${index}`, `content ${index}`]));
    const stopped = join(place, 'stop');
    const program = `
      import { existsSync } from 'node:fs';
      import { collectObjects } from ${JSON.stringify(join(process.cwd(), 'libs/image-store/dist/index.js'))};
      let removed = 0;
      while (!existsSync(process.argv[1])) removed += (await collectObjects(process.argv[2], Date.now())).removed;
      console.log(removed);`;
    const collector = promisify(execFile)('node', ['--input-type=module', '-e', program, stopped, objects]);
    try {
      for (let round = 0; round < 10; round++) {
        const roots = await Promise.all([fill(tree), fill(tree)]);
        for (const root of roots)
          for (const [path, content] of Object.entries(tree))
            expect(readFileSync(join(root, path), 'utf8')).toBe(content);
        for (const root of roots) rmSync(root, { recursive: true });
      }
    } finally {
      writeFileSync(stopped, '');
    }
    const { stdout } = await collector;
    expect(Number(stdout)).toBeGreaterThan(0);
    expect(execFileSync('find', [objects, '-name', '*.new'], { encoding: 'utf8' })).toBe('');
  });
});

describe('the check of a tree', () => {
  const tree: Tree = {
    'usr/a': 'aaaa',
    'usr/b': 'b',
    'usr/perl': 'perl',
    'usr/perl5': 'perl',
    bin: { to: 'usr' },
    srv: null,
  };
  const change: Change = (entries) =>
    named('usr/perl5', { link: 'usr/perl' })(named('usr/b', { capability: CAPABLE })(entries));
  const problemsOf = async (spoil: (root: string) => void): Promise<readonly TreeProblem[]> => {
    const root = await fill(tree, change);
    const fresh = await fill(tree, change);
    const { entries } = await archiveOf(tree, change);
    const reader = new FileReader();
    expect(checkTree(root, entries, reader)).toEqual([]);
    expect(checkTree(fresh, entries, reader)).toEqual([]);
    // Four files of two trees, and each was read once.
    expect(reader.files).toBe(3);
    // Only this tree is spoilt: its files get inodes of their own.
    execFileSync('cp', ['-a', root, `${root}.copy`]);
    const copy = `${root}.copy`;
    expect(checkTree(copy, entries, new FileReader())).toEqual([]);
    spoil(copy);
    const problems = checkTree(copy, entries, new FileReader());
    repairTree(copy, fresh, entries, problems, join(place, 'repair.new'));
    expect(checkTree(copy, entries, new FileReader())).toEqual([]);
    return problems;
  };
  const stamp = (path: string): void => utimesSync(path, 1_700_000_000, 1_700_000_000);

  it.each<[string, (root: string) => void, string[]]>([
    [
      'a content of the same size and time',
      (root) => {
        writeFileSync(join(root, 'usr/a'), 'aaab');
        stamp(join(root, 'usr/a'));
      },
      ['usr/a'],
    ],
    ['a mode', (root) => chmodSync(join(root, 'usr/a'), 0o4755), ['usr/a']],
    ['an owner of a directory', (root) => chownSync(join(root, 'srv'), 7, 7), ['srv']],
    ['an owner of a symlink', (root) => lchownSync(join(root, 'bin'), 7, 7), ['bin']],
    ['a capability that is gone', (root) => removeAttribute(join(root, 'usr/b'), 'security.capability'), ['usr/b']],
    [
      'a capability that was added',
      (root) => setAttribute(join(root, 'usr/a'), 'security.capability', Buffer.from(CAPABLE, 'hex')),
      ['usr/a'],
    ],
    ['a missing file', (root) => rmSync(join(root, 'usr/a')), ['usr/a']],
    [
      'a missing directory with all in it',
      (root) => rmSync(join(root, 'usr'), { recursive: true }),
      ['usr', 'usr/a', 'usr/b', 'usr/perl', 'usr/perl5'],
    ],
    [
      'a symlink in place of a directory',
      (root) => {
        rmSync(join(root, 'srv'), { recursive: true });
        symlinkSync('/tmp', join(root, 'srv'));
      },
      ['srv'],
    ],
    [
      'a directory behind a symlink',
      (root) => {
        renameSync(join(root, 'usr'), join(root, '../usr'));
        symlinkSync('../usr', join(root, 'usr'));
      },
      ['usr', 'usr/a', 'usr/b', 'usr/perl', 'usr/perl5'],
    ],
    [
      'a symlink in place of a file',
      (root) => {
        rmSync(join(root, 'usr/a'));
        symlinkSync('/etc/passwd', join(root, 'usr/a'));
      },
      ['usr/a'],
    ],
    [
      'a pipe in place of a file',
      (root) => {
        rmSync(join(root, 'usr/a'));
        execFileSync('mkfifo', [join(root, 'usr/a')]);
      },
      ['usr/a'],
    ],
    [
      'a directory in place of a file',
      (root) => {
        rmSync(join(root, 'usr/a'));
        mkdirSync(join(root, 'usr/a/deep'), { recursive: true });
      },
      ['usr/a'],
    ],
    [
      'another target',
      (root) => {
        rmSync(join(root, 'bin'));
        symlinkSync('tmp', join(root, 'bin'));
      },
      ['bin'],
    ],
    [
      'a name of a file that became another file',
      (root) => {
        execFileSync('cp', ['-a', '--remove-destination', join(root, 'usr/a'), join(root, 'usr/perl5')]);
        writeFileSync(join(root, 'usr/perl5'), 'perl');
        stamp(join(root, 'usr/perl5'));
      },
      ['usr/perl5'],
    ],
    [
      'a name that the manifest does not have',
      (root) => mkdirSync(join(root, 'srv/more/deep'), { recursive: true }),
      ['srv/more'],
    ],
  ])('finds %s, and it can be repaired', async (_, spoil, paths) => {
    expect((await problemsOf(spoil)).map(({ path }) => path)).toEqual(paths);
  });
});

it('takes names of 255 bytes', async () => {
  const long = 'ä'.repeat(127) + 'x';
  const root = await fill({ [`srv/${long}`]: 'long' });
  expect(readFileSync(join(root, 'srv', long), 'utf8')).toBe('long');
});
