import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ImageManifest, ManifestEntry } from '@plinth/contracts';
import { extractTo, type Extraction } from './testing/extraction.js';
import {
  compress,
  entriesOf,
  makeManifest,
  type Member,
  membersOf,
  packTar,
  sha256,
  type Tree,
} from './testing/image-fixture.js';
import { extractArchive } from '@plinth/image-store';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-extraction-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const TREE: Tree = {
  'etc/hostname': 'box',
  'usr/bin/tool': 'binary',
  bin: { to: 'usr/bin' },
  'etc/empty': '',
  'var/log': null,
  ['usr/share/' + 'long-name/'.repeat(20) + 'ä']: 'long',
};
const { entries, contents } = entriesOf(TREE);
const manifest = makeManifest(entries);

const extract = (archive: Buffer, of: ImageManifest = manifest): Promise<Extraction> => extractTo(scratch, archive, of);

const members = (): Member[] => membersOf(entries, contents);
const changed = (name: string, change: (member: Member) => void): Member[] => {
  const list = members();
  const member = list.find(({ header }) => header.name === name);
  if (!member) throw new Error(`no member ${name}`);
  change(member);
  return list;
};
const inserted = (after: string, ...more: Member[]): Member[] => {
  const list = members();
  list.splice(list.findIndex(({ header }) => header.name === after) + 1, 0, ...more);
  return list;
};
const bare = (name: string, type: Member['header']['type'], extra: Partial<Member['header']> = {}): Member => ({
  header: { name, type, mode: 0o644, uid: 0, gid: 0, mtime: new Date(1_700_000_000_000), ...extra },
});
const evil = (name: string): Member => ({ header: bare(name, 'file').header, content: Buffer.from('evil') });

describe('extractArchive', () => {
  it('makes exactly the tree of the manifest', async () => {
    const special = entriesOf({ 'usr/bin/su': 'setuid', 'tmp/x': 'y', 'srv/link': { to: '/etc/passwd' } });
    const owned = special.entries.map((entry): ManifestEntry => {
      if (entry.path === 'usr/bin/su') return { ...entry, mode: 0o4755, uid: 0, gid: 42 };
      if (entry.path === 'tmp') return { ...entry, mode: 0o1777, mtime: 1_600_000_000 };
      if (entry.path === '.') return { ...entry, mode: 0o711, uid: 7 };
      return entry.path === 'srv/link' ? { ...entry, uid: 33, gid: 33, mtime: 1_500_000_000 } : entry;
    });
    const { outcome, directory } = await extract(
      compress(await packTar(membersOf(owned, special.contents))),
      makeManifest(owned),
    );
    expect(outcome).toMatchObject({ ok: true });
    const found = execFileSync('find', [join(directory, 'root'), '-printf', '%P|%y|%m|%U|%G|%Ts|%s|%l\n'], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n')
      .sort();
    const letters = { file: 'f', directory: 'd', symlink: 'l' };
    const expected = owned.map((entry) => {
      const size =
        entry.type === 'file'
          ? entry.size
          : entry.type === 'symlink'
            ? entry.target.length
            : lstatSync(join(directory, 'root', entry.path)).size;
      const path = entry.path === '.' ? '' : entry.path;
      return [
        path,
        letters[entry.type],
        entry.mode.toString(8),
        entry.uid,
        entry.gid,
        entry.mtime,
        size,
        entry.type === 'symlink' ? entry.target : '',
      ].join('|');
    });
    expect(found).toEqual(expected.sort());
    expect(lstatSync(join(directory, 'mount.sh')).mode & 0o7777).toBe(0o755);
  });

  it('takes long and non-ASCII names, empty files and directories, and many frames', async () => {
    const packed = await packTar(members());
    const halves = [compress(packed.subarray(0, 1_000)), compress(packed.subarray(1_000))];
    const { outcome, directory } = await extract(Buffer.concat(halves));
    expect(outcome).toMatchObject({ ok: true });
    expect(readFileSync(join(directory, 'root', 'usr/share', 'long-name/'.repeat(20), 'ä'), 'utf8')).toBe('long');
    expect(readlinkSync(join(directory, 'root/bin'))).toBe('usr/bin');
  });

  it("takes GNU tar's archives", async () => {
    const { directory } = await extract(compress(await packTar(members())));
    for (const options of [
      ['--format=gnu'],
      ['--format=posix'],
      ['--format=pax', '--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f', '--hard-dereference'],
    ]) {
      const names = ['mount.sh', ...entries.map(({ path }) => (path === '.' ? 'root' : `root/${path}`))];
      const packed = execFileSync(
        'tar',
        ['-C', directory, ...options, '--no-recursion', '--numeric-owner', '--null', '-T', '-', '-c'],
        { input: names.join('\0') },
      );
      expect((await extract(compress(packed))).outcome).toMatchObject({ ok: true });
    }
  });

  it.each<[string, () => Member[] | Promise<Buffer>, string, RegExp]>([
    [
      'a path upwards',
      () => inserted('root/etc', evil('root/../../outside')),
      'manifest-mismatch',
      /path is "root\/\.\.\/\.\.\/outside"/,
    ],
    ['an absolute path', () => inserted('root/etc', evil('/tmp/plinth-outside')), 'manifest-mismatch', /path is/],
    [
      'a file beside root',
      () => inserted('mount.sh', evil('manifest.json')),
      'manifest-mismatch',
      /path is "manifest.json"/,
    ],
    [
      'a symlink and a file through it',
      () =>
        inserted(
          'root/etc',
          { header: { ...bare('root/etc/x', 'symlink').header, linkname: '/tmp' } },
          evil('root/etc/x/y'),
        ),
      'manifest-mismatch',
      /path is "root\/etc\/x"/,
    ],
    [
      'a symlink instead of a directory',
      () => changed('root/etc', ({ header }) => Object.assign(header, { type: 'symlink', linkname: '/tmp' })),
      'manifest-mismatch',
      /type is "symlink"/,
    ],
    [
      'a hard link',
      () =>
        changed('root/usr/bin/tool', (member) => {
          member.header.type = 'link';
          member.header.linkname = '/etc/passwd';
          delete member.content;
        }),
      'manifest-mismatch',
      /type is "link"/,
    ],
    [
      'a character device',
      () =>
        changed('root/etc/empty', (member) => {
          member.header.type = 'character-device';
          delete member.content;
        }),
      'manifest-mismatch',
      /type is "character-device"/,
    ],
    [
      'a block device',
      () => inserted('root/dev', bare('root/dev/sda', 'block-device', { devmajor: 8, devminor: 0 })),
      'manifest-mismatch',
      /path is/,
    ],
    [
      'a fifo',
      () =>
        changed('root/etc/empty', (member) => {
          member.header.type = 'fifo';
          delete member.content;
        }),
      'manifest-mismatch',
      /type is "fifo"/,
    ],
    [
      'the same member twice',
      () =>
        inserted('root/etc/hostname', {
          ...(changed('root/etc/hostname', () => undefined).find(
            ({ header }) => header.name === 'root/etc/hostname',
          ) as Member),
        }),
      'manifest-mismatch',
      /path is "root\/etc\/hostname"/,
    ],
    [
      'a setuid bit that is not in the manifest',
      () =>
        changed('root/usr/bin/tool', ({ header }) => {
          header.mode = 0o4755;
        }),
      'manifest-mismatch',
      /mode is 2541/,
    ],
    [
      'another owner',
      () =>
        changed('root/usr/bin/tool', ({ header }) => {
          header.uid = 1_000;
        }),
      'manifest-mismatch',
      /uid is 1000/,
    ],
    [
      'another group',
      () =>
        changed('root/usr/bin/tool', ({ header }) => {
          header.gid = 1;
        }),
      'manifest-mismatch',
      /gid is 1/,
    ],
    [
      'another time',
      () =>
        changed('root/usr/bin/tool', ({ header }) => {
          header.mtime = new Date(0);
        }),
      'manifest-mismatch',
      /mtime is 0/,
    ],
    [
      'another link target',
      () =>
        changed('root/bin', ({ header }) => {
          header.linkname = '/';
        }),
      'manifest-mismatch',
      /target is "\/"/,
    ],
    [
      'other content of the same size',
      () =>
        changed('root/usr/bin/tool', (member) => {
          member.content = Buffer.from('BINARY');
        }),
      'manifest-mismatch',
      /has the digest/,
    ],
    [
      'content that is longer',
      () =>
        changed('root/usr/bin/tool', (member) => {
          member.content = Buffer.from('binary!');
        }),
      'manifest-mismatch',
      /size is 7/,
    ],
    [
      'another mount script',
      () =>
        changed('mount.sh', (member) => {
          member.content = Buffer.from('#!/bin/sh\nexit 1\n');
        }),
      'manifest-mismatch',
      /mount.sh has the digest/,
    ],
    ['no mount script', () => members().slice(1), 'manifest-mismatch', /path is "root/],
    [
      'a missing member',
      () => members().filter(({ header }) => header.name !== 'root/etc/hostname'),
      'manifest-mismatch',
      /path is/,
    ],
    ['a missing end', () => members().slice(0, -1), 'manifest-mismatch', /ends before/],
    [
      'another order',
      () => [...members().slice(0, 2), ...members().slice(2).reverse()],
      'manifest-mismatch',
      /path is/,
    ],
    ['an extra member at the end', () => [...members(), evil('root/zzz')], 'manifest-mismatch', /beyond the manifest/],
    [
      'an extra member after the end blocks',
      async () => Buffer.concat([await packTar(members()), await packTar([evil('root/zzz')])]),
      'manifest-mismatch',
      /beyond the manifest/,
    ],
    [
      'extended attributes',
      () =>
        changed('root/usr/bin/tool', ({ header }) =>
          Object.assign(header, { pax: { 'SCHILY.xattr.security.capability': 'x' } }),
        ),
      'manifest-mismatch',
      /capability is "78", the manifest has null/,
    ],
    [
      'a sparse file',
      () => changed('root/usr/bin/tool', ({ header }) => Object.assign(header, { pax: { 'GNU.sparse.map': '0,1' } })),
      'manifest-mismatch',
      /extended header "GNU.sparse/,
    ],
    [
      'a path that only the extended header has',
      () => changed('root/usr/bin/tool', ({ header }) => Object.assign(header, { pax: { path: '../outside' } })),
      'manifest-mismatch',
      /path is "..\/outside"/,
    ],
    [
      'a size that only the extended header has',
      () => changed('root/usr/bin/tool', ({ header }) => Object.assign(header, { pax: { size: '1000000' } })),
      'manifest-mismatch',
      /size is 1000000/,
    ],
    [
      'a file cut in the middle',
      async () => (await packTar(members())).subarray(0, 1_200),
      'bad-archive',
      /Unexpected end/,
    ],
    [
      'a broken header',
      async () => {
        const packed = await packTar(members());
        packed.writeUInt8(7, 512 * 2 + 3);
        return packed;
      },
      'bad-archive',
      /not a sound tar/,
    ],
    ['no tar at all', async () => Buffer.from('hello'.repeat(1_000)), 'bad-archive', /not a sound tar/],
    [
      'an endless tail',
      async () => Buffer.concat([await packTar(members()), Buffer.alloc(64 * 1024 ** 2)]),
      'bad-archive',
      /unpacks to more/,
    ],
    ['an endless extended header', async () => hugeHeader(), 'bad-archive', /exceeds max size|unpacks to more/],
  ])('refuses %s', async (_, make, reason, message) => {
    const made = make();
    const packed = Array.isArray(made) ? await packTar(made) : await made;
    const { outcome, directory } = await extract(compress(packed));
    expect(outcome).toEqual({ ok: false, reason, message: expect.stringMatching(message) });
    expect(readdirSync(join(directory, '..')).sort()).toEqual(['archive', 'tree']);
    expect(existsSync('/tmp/plinth-outside')).toBe(false);
    expect(
      execFileSync(
        'find',
        [
          directory,
          '(',
          '-type',
          'l',
          '-o',
          '-type',
          'b',
          '-o',
          '-type',
          'c',
          '-o',
          '-type',
          'p',
          '-o',
          '-perm',
          '/6000',
          ')',
        ],
        { encoding: 'utf8' },
      ),
    ).toBe('');
  });

  it.each<[string, (good: Buffer) => Buffer, RegExp]>([
    ['nothing', () => Buffer.alloc(0), /not a zstd file/],
    [
      'gzip',
      (good) => execFileSync('gzip', ['-c'], { input: execFileSync('zstd', ['-dcq'], { input: good }) }),
      /not a zstd file/,
    ],
    ['only the magic', (good) => good.subarray(0, 4), /zstd:/],
    ['a cut frame', (good) => good.subarray(0, -10), /zstd:/],
    ['garbage at the end', (good) => Buffer.concat([good, Buffer.from('garbage!')]), /zstd:/],
    [
      'a flipped bit in the middle',
      (good) => {
        const bad = Buffer.from(good);
        const at = bad.length >> 1;
        bad.writeUInt8(bad.readUInt8(at) ^ 0x10, at);
        return bad;
      },
      /zstd:|not a sound tar|has the digest|is .* the manifest has/,
    ],
    ['a window of 2 GiB', () => Buffer.from('28b52ffd00a8010000', 'hex'), /zstd:/],
  ])('refuses %s', async (_, spoil, message) => {
    const { outcome } = await extract(spoil(compress(await packTar(members()), '--check')));
    expect(outcome).toMatchObject({ ok: false, message: expect.stringMatching(message) });
  });

  it('refuses a bomb without unpacking it', async () => {
    const bomb = compress(
      Buffer.concat([(await packTar(members())).subarray(0, -1_024), Buffer.alloc(512 * 1024 ** 2)]),
    );
    const begun = Date.now();
    expect((await extract(bomb)).outcome).toMatchObject({ ok: false, reason: 'bad-archive' });
    expect(Date.now() - begun).toBeLessThan(5_000);
  });

  it('does not extract into a tree that already exists', async () => {
    const place = mkdtempSync(join(scratch, 'case-'));
    mkdirSync(join(place, 'tree/root'), { recursive: true });
    writeFileSync(join(place, 'archive'), compress(await packTar(members())));
    const fd = openSync(join(place, 'archive'), 'r');
    expect(await extractArchive({ archive: fd, directory: join(place, 'tree'), manifest })).toMatchObject({
      ok: false,
      reason: 'io-error',
    });
    closeSync(fd);
    expect(sha256('')).toMatch(/^sha256:/);
  });
});

/** A pax header of 1 GiB, as its own header claims. */
async function hugeHeader(): Promise<Buffer> {
  const packed = await packTar([bare('PaxHeader', 'pax-header' as never, { size: 0 })]);
  const header = packed.subarray(0, 512);
  header.write('10000000000 ', 124, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, Buffer.alloc(8 * 1024 ** 2, 'a')]);
}
