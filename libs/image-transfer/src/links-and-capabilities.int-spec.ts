/** Hard links and file capabilities from an archive to the disk. Needs root: only root may set capabilities. */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CAPABILITY_ATTRIBUTE, type ImageManifest, type ManifestEntry } from '@plinth/contracts';
import { attribute, setAttribute } from '@plinth/host-os';
import { extractTo, type Extraction } from './testing/extraction.js';
import { compress, entriesOf, makeManifest, type Member, membersOf, packTar } from './testing/image-fixture.js';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'plinth-links-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const extract = (archive: Buffer, of: ImageManifest): Promise<Extraction> => extractTo(scratch, archive, of);

/** cap_net_raw=ep, and cap_setuid,cap_net_raw=ep, whose bytes are no UTF-8. */
const NET_RAW = '0100000200200000000000000000000000000000';
const SETUID = '0100000280200000000000000000000000000000';
const named = (of: readonly ManifestEntry[], path: string, more: Partial<ManifestEntry>): ManifestEntry[] =>
  of.map((entry) => (entry.path === path ? ({ ...entry, ...more } as ManifestEntry) : entry));
const fileOf = (of: readonly ManifestEntry[], path: string): ManifestEntry & { type: 'file' } =>
  of.find((entry) => entry.path === path) as ManifestEntry & { type: 'file' };
/** A file with three names in two directories, capabilities on it and on another one. */
function linkedTree(): { entries: ManifestEntry[]; contents: Map<string, Buffer> } {
  const made = entriesOf({
    'usr/bin/tool': 'binary',
    bin: { to: 'usr/bin' },
    'usr/bin/perl': 'perl',
    'usr/bin/perl5': 'perl',
    'var/perl': 'perl',
    'usr/su': 'su',
  });
  const perl: ManifestEntry = { ...fileOf(made.entries, 'usr/bin/perl'), mode: 0o755, gid: 7, capability: NET_RAW };
  let linked = named(made.entries, 'usr/bin/perl', perl);
  for (const path of ['usr/bin/perl5', 'var/perl']) linked = named(linked, path, { ...perl, path, link: perl.path });
  return { entries: named(linked, 'usr/su', { mode: 0o4755, uid: 3, capability: SETUID }), contents: made.contents };
}
const attributeOf = (path: string): string => attribute(path, CAPABILITY_ATTRIBUTE).toString('hex');
/** Links and capabilities with one thing changed in the archive. */
const linkedWith = (name: string, change: (member: Member) => void): Member[] => {
  const linked = linkedTree();
  const list = membersOf(linked.entries, linked.contents);
  const member = list.find(({ header }) => header.name === name);
  if (!member) throw new Error(`no member ${name}`);
  change(member);
  return list;
};

function capable(member: Member, hex: string): void {
  Object.assign(member.header, {
    pax: { [`SCHILY.xattr.${CAPABILITY_ATTRIBUTE}`]: Buffer.from(hex, 'hex').toString('utf8') },
  });
}

describe('extractArchive', () => {
  it('keeps the names of one file, and capabilities, also of a set-uid file', async () => {
    const linked = linkedTree();
    const packed = compress(await packTar(membersOf(linked.entries, linked.contents)));
    const { outcome, directory } = await extract(packed, makeManifest(linked.entries));
    expect(outcome).toMatchObject({ ok: true });
    const root = join(directory, 'root');
    const names = ['usr/bin/perl', 'usr/bin/perl5', 'var/perl'].map((path) => lstatSync(join(root, path)));
    expect(new Set(names.map(({ ino }) => ino)).size).toBe(1);
    // Three names, and the object's.
    expect(names[0]).toMatchObject({ nlink: 4, mode: 0o100755, gid: 7, mtimeMs: 1_700_000_000_000 });
    expect(attributeOf(join(root, 'var/perl'))).toBe(NET_RAW);
    expect(attributeOf(join(root, 'usr/su'))).toBe(SETUID);
    expect(lstatSync(join(root, 'usr/su'))).toMatchObject({ mode: 0o104755, uid: 3 });
    expect(() => attributeOf(join(root, 'usr/bin/tool'))).toThrow(/ENODATA/);
    // The next archive is made of the tree on the disk, with the tool of the builder.
    const members = linked.entries.map(({ path }) => (path === '.' ? 'root' : `root/${path}`));
    const again = execFileSync(
      'tar',
      ['-C', directory, '--format=pax', '--xattrs', `--xattrs-include=${CAPABILITY_ATTRIBUTE}`].concat([
        '--pax-option=delete=atime,delete=ctime',
        '--no-recursion',
        '--numeric-owner',
        '--null',
        '-T',
        '-',
        '-c',
      ]),
      { input: ['mount.sh', ...members].join('\0') },
    );
    expect((await extract(compress(again), makeManifest(linked.entries))).outcome).toMatchObject({ ok: true });
  });

  it.each<[string, () => Member[], RegExp]>([
    [
      'a link to the outside',
      () => linkedWith('root/var/perl', ({ header }) => (header.linkname = '../../etc/shadow')),
      /target is "\.\.\//,
    ],
    [
      'a link to an absolute path',
      () => linkedWith('root/var/perl', ({ header }) => (header.linkname = '/etc/shadow')),
      /target is "\/etc/,
    ],
    [
      'a link to another file',
      () => linkedWith('root/var/perl', ({ header }) => (header.linkname = 'root/usr/su')),
      /target is/,
    ],
    [
      'a link to a symlink',
      () => linkedWith('root/var/perl', ({ header }) => (header.linkname = 'root/bin')),
      /target is/,
    ],
    [
      'a link to a directory',
      () => linkedWith('root/var/perl', ({ header }) => (header.linkname = 'root/etc')),
      /target is/,
    ],
    ['a link of another mode', () => linkedWith('root/var/perl', ({ header }) => (header.mode = 0o4755)), /mode is/],
    ['a link of another owner', () => linkedWith('root/var/perl', ({ header }) => (header.uid = 9)), /uid is 9/],
    [
      'a link with content',
      () => linkedWith('root/var/perl', (member) => Object.assign(member.header, { pax: { size: '4' } })),
      /size is 4/,
    ],
    [
      'a copy in place of a link',
      () =>
        linkedWith('root/var/perl', (member) => {
          member.header.type = 'file';
          member.content = Buffer.from('perl');
        }),
      /type is "file", the manifest has "link"/,
    ],
    [
      'a symlink in place of a link',
      () => linkedWith('root/var/perl', ({ header }) => Object.assign(header, { type: 'symlink' })),
      /type is "symlink"/,
    ],
    [
      'a link before its file',
      () => {
        const list = linkedWith('root/var/perl', () => undefined);
        const at = list.findIndex(({ header }) => header.name === 'root/usr/bin/perl');
        list.splice(at, 0, ...list.splice(at + 1, 1));
        return list;
      },
      /path is "root\/usr\/bin\/perl5"/,
    ],
    [
      'a capability that the manifest does not name',
      () => linkedWith('root/usr/bin/tool', (member) => capable(member, NET_RAW)),
      /capability is .* has null/,
    ],
    [
      'a capability of a link',
      () => linkedWith('root/var/perl', (member) => capable(member, NET_RAW)),
      /capability is .* has null/,
    ],
    [
      'a capability of the mount script',
      () => linkedWith('mount.sh', (member) => capable(member, NET_RAW)),
      /capability is .* has null/,
    ],
    [
      'a missing capability',
      () => linkedWith('root/usr/su', (member) => Object.assign(member.header, { pax: null })),
      /capability is null/,
    ],
    ['another capability', () => linkedWith('root/usr/su', (member) => capable(member, NET_RAW)), /capability is/],
    [
      'a capability without end',
      () => linkedWith('root/usr/su', (member) => capable(member, SETUID + '00'.repeat(60_000))),
      /capability is/,
    ],
    [
      'another attribute beside it',
      () =>
        linkedWith('root/usr/su', (member) =>
          Object.assign(member.header.pax ?? {}, { 'SCHILY.xattr.trusted.overlay.opaque': 'y' }),
        ),
      /extended header "SCHILY.xattr.trusted/,
    ],
    [
      'an access list',
      () =>
        linkedWith('root/usr/su', (member) =>
          Object.assign(member.header.pax ?? {}, { 'SCHILY.acl.access': 'user::rwx' }),
        ),
      /extended header "SCHILY.acl/,
    ],
  ])('refuses %s', async (_, make, message) => {
    const { outcome, directory } = await extract(compress(await packTar(make())), makeManifest(linkedTree().entries));
    expect(outcome).toEqual({
      ok: false,
      reason: 'manifest-mismatch',
      message: expect.stringMatching(message),
    });
    expect(existsSync(join(directory, 'root/bin'))).toBe(false);
  });

  it('reports that a file system keeps no capabilities', () => {
    const set = (): void => setAttribute('/proc/self/status', CAPABILITY_ATTRIBUTE, Buffer.from(NET_RAW, 'hex'));
    expect(set).toThrow(/lsetxattr/);
  });
});
