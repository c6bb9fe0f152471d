import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type RawMember, rawTar } from '../../testing/raw-tar.js';
import { attribute, attributesOf } from '@plinth/host-os';
import { type TarballKind, TreeUnpacker } from './tree-unpacker.js';

let scratch: string;
let outside: string;
let root: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-unpack-'));
  outside = join(scratch, 'outside');
  root = join(scratch, 'root');
  mkdirSync(outside);
  writeFileSync(join(outside, 'canary'), 'untouched');
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

async function unpack(
  members: readonly RawMember[] | Buffer,
  kind: TarballKind = 'plain',
  unpacker?: TreeUnpacker,
): Promise<TreeUnpacker> {
  const tarball = join(scratch, 'tarball');
  writeFileSync(tarball, Buffer.isBuffer(members) ? members : rawTar(members));
  const used = unpacker ?? (await TreeUnpacker.open(root));
  await used.add(tarball, kind, new AbortController().signal);
  return used;
}

describe('TreeUnpacker', () => {
  it('unpacks files, directories, links and modes', async () => {
    await unpack([
      { name: './', type: '5', mode: 0o755 },
      { name: './etc/', type: '5', mode: 0o750 },
      { name: './etc/passwd', content: 'root', uid: 7 },
      { name: './etc/mtab', type: '2', link: '/proc/mounts' },
      { name: './etc/twin', type: '1', link: './etc/passwd' },
      { name: './bin/su', content: 'su', mode: 0o4755 },
      { name: './dev/null', type: '3' },
    ]);
    expect(readFileSync(join(root, 'etc/twin'), 'utf8')).toBe('root');
    expect(lstatSync(join(root, 'etc')).mode & 0o7777).toBe(0o750);
    expect(lstatSync(join(root, 'etc/passwd'))).toMatchObject({ uid: 7, mtimeMs: 1_600_000_000_000 });
    expect(lstatSync(join(root, 'bin/su')).mode & 0o7777).toBe(0o4755);
    expect(readlinkSync(join(root, 'etc/mtab'))).toBe('/proc/mounts');
    expect(existsSync(join(root, 'dev/null'))).toBe(false);
  });

  const CAPABILITY = 'SCHILY.xattr.security.capability';
  /** cap_setuid,cap_net_raw=ep: its bytes are no UTF-8. */
  const SETUID = '0100000280200000000000000000000000000000';

  it('keeps hard links and file capabilities, and counts what it does not keep', async () => {
    const unpacker = await unpack([
      { name: 'd', type: '5', mode: 0o755, pax: { 'SCHILY.acl.default': Buffer.from('user::rwx') } },
      {
        name: 'd/ping',
        content: 'ping',
        uid: 7,
        mode: 0o4755,
        pax: {
          [CAPABILITY]: Buffer.from(SETUID, 'hex'),
          'SCHILY.xattr.user.a': Buffer.from('x'),
          comment: Buffer.from('y'),
        },
      },
      { name: 'd/ping6', type: '1', link: 'd/ping' },
      {
        name: 'd/third',
        content: 'x',
        pax: { [CAPABILITY]: Buffer.from(`01000003${SETUID.slice(8)}00000000`, 'hex') },
      },
    ]);
    expect(lstatSync(join(root, 'd/ping6'))).toMatchObject({ ino: lstatSync(join(root, 'd/ping')).ino, nlink: 2 });
    expect(attribute(join(root, 'd/ping6'), 'security.capability').toString('hex')).toBe(SETUID);
    expect(lstatSync(join(root, 'd/ping'))).toMatchObject({ uid: 7, mode: 0o104755 });
    // Version 3 of the machine's own root is what the kernel calls version 2.
    expect(attribute(join(root, 'd/third'), 'security.capability').toString('hex')).toBe(SETUID);
    expect(attributesOf(join(root, 'd/ping'))).toEqual(['security.capability']);
    expect(unpacker.leftOut.lines()).toEqual([
      'extended attributes that images do not keep: 2 ("system.posix_acl_default" 1, "user.a" 1)',
    ]);
  });

  it.each<[string, Buffer, RegExp]>([
    ['cut short', Buffer.from(SETUID.slice(0, 30), 'hex'), /must be 20 or 24 bytes, not 15/],
    ['oversize', Buffer.alloc(60_000, 1), /must be 20 or 24 bytes, not 60000/],
    ['of version 1', Buffer.from(`01000001${SETUID.slice(8)}`, 'hex'), /unknown head/],
    [
      'of another user namespace',
      Buffer.from(`01000003${SETUID.slice(8)}e8030000`, 'hex'),
      /user namespace of user 1000/,
    ],
    ['of the future', Buffer.from(`01000002${'0'.repeat(16)}00800000${'0'.repeat(8)}`, 'hex'), /not known/],
  ])('refuses a file capability that is %s', async (_, value, message) => {
    await expect(unpack([{ name: 'a', content: 'x', pax: { [CAPABILITY]: value } }])).rejects.toMatchObject({
      reason: 'unsafe-tree',
      message: expect.stringMatching(message),
    });
  });

  it('sees by its first bytes what a tarball is packed with', async () => {
    await unpack(gzipSync(rawTar([{ name: 'a', content: 'b' }])));
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('b');
  });

  it.each<[string, RawMember[], string]>([
    ['..', [{ name: '../x', content: 'x' }], 'unsafe-tree'],
    ['.. inside', [{ name: 'a/../../x', content: 'x' }], 'unsafe-tree'],
    ['an empty component', [{ name: 'a//b', content: 'x' }], 'unsafe-tree'],
    ['a control character', [{ name: 'a\nb', content: 'x' }], 'unsafe-tree'],
    ['a name that is not UTF-8', [{ name: Buffer.from([0x61, 0xff, 0x62]), content: 'x' }], 'unsafe-tree'],
    ['a device', [{ name: 'etc/sda', type: '4' }], 'unsafe-tree'],
    ['a fifo', [{ name: 'etc/pipe', type: '6' }], 'unsafe-tree'],
    ['an unknown type', [{ name: 'a', type: 'V' }], 'unsafe-tree'],
    ['a hard link outside', [{ name: 'a', type: '1', link: '../outside/canary' }], 'unsafe-tree'],
    ['a hard link to an absolute path', [{ name: 'a', type: '1', link: '/etc/shadow' }], 'unsafe-tree'],
    [
      'a hard link to a directory',
      [
        { name: 'd', type: '5' },
        { name: 'a', type: '1', link: 'd' },
      ],
      'unsafe-tree',
    ],
    ['a hard link to nothing', [{ name: 'a', type: '1', link: 'b' }], 'unsafe-tree'],
    ['an owner beyond 65,535', [{ name: 'a', content: 'x', uid: 70_000 }], 'unsafe-tree'],
    [
      'a loop of links',
      [
        { name: 'a', type: '2', link: 'b' },
        { name: 'b', type: '2', link: 'a' },
        { name: 'a/x', content: 'x' },
      ],
      'unsafe-tree',
    ],
  ])('refuses %s', async (_, members, reason) => {
    await expect(unpack(members)).rejects.toMatchObject({ name: 'BuildRefusal', reason });
    expect(readdirSync(outside)).toEqual(['canary']);
    expect(existsSync(join(scratch, 'x'))).toBe(false);
  });

  it.each<[string, () => RawMember[]]>([
    [
      'an absolute link',
      () => [
        { name: 'up', type: '2', link: outside },
        { name: 'up/canary', content: 'changed' },
      ],
    ],
    [
      'a relative link',
      () => [
        { name: 'up', type: '2', link: '../outside' },
        { name: 'up/canary', content: 'changed' },
      ],
    ],
    [
      'a chain of links',
      () => [
        { name: 'a', type: '2', link: 'b' },
        { name: 'b', type: '2', link: '../../outside' },
        { name: 'a/canary', content: 'changed' },
      ],
    ],
    [
      'a link in place of a directory',
      () => [
        { name: 'd', type: '5' },
        { name: 'd', type: '2', link: outside },
        { name: 'd/canary', content: 'changed' },
      ],
    ],
    [
      'a file through a link of its own name',
      () => [
        { name: 'f', type: '2', link: `${outside}/canary` },
        { name: 'f', content: 'changed' },
      ],
    ],
    [
      'a hard link through a link',
      () => [
        { name: 'up', type: '2', link: outside },
        { name: 'up/canary', content: 'inside' },
        { name: 'h', type: '1', link: 'up/canary' },
      ],
    ],
    ['a whiteout through a link', () => [{ name: 'up', type: '2', link: outside }, { name: 'up/.wh.canary' }]],
    [
      'an opaque whiteout through a link',
      () => [{ name: 'up', type: '2', link: outside }, { name: 'up/.wh..wh..opq' }],
    ],
    ['a whiteout of the parent', () => [{ name: 'up', type: '2', link: outside }, { name: '.wh...' }]],
  ])('keeps what is written through %s inside', async (_, members) => {
    await unpack(members(), 'layer').catch((error: unknown) => expect(error).toMatchObject({ name: 'BuildRefusal' }));
    expect(readFileSync(join(outside, 'canary'), 'utf8')).toBe('untouched');
    expect(readdirSync(scratch).sort()).toEqual(['outside', 'root', 'tarball']);
  });

  it('lays layers over each other', async () => {
    const unpacker = await unpack(
      [
        { name: 'a/one', content: '1' },
        { name: 'a/two', content: '2' },
        { name: 'b/one', content: '1' },
        { name: 'c', content: 'file' },
      ],
      'layer',
    );
    await unpack(
      [
        { name: 'a/.wh.one' },
        { name: 'b/.wh..wh..opq' },
        { name: 'b/new', content: 'n' },
        { name: 'c', type: '5' },
        { name: 'c/x', content: 'x' },
      ],
      'layer',
      unpacker,
    );
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(['a', 'a/two', 'b', 'b/new', 'c', 'c/x']);
  });

  it.each<[string, Buffer]>([
    ['what is no tarball', Buffer.from('x'.repeat(2_000))],
    ['a cut gzip', gzipSync(rawTar([{ name: 'a', content: 'x'.repeat(5_000) }])).subarray(0, 40)],
    ['a cut file', rawTar([{ name: 'a', content: 'x'.repeat(5_000) }]).subarray(0, 1_024)],
    ['a broken zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2, 3])],
  ])('refuses %s', async (_, tarball) => {
    await expect(unpack(tarball)).rejects.toMatchObject({ name: 'BuildRefusal', reason: 'source-mismatch' });
  });
});
