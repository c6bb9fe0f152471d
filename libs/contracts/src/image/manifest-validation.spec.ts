import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { contentDigestInput, type ImageManifest, type ManifestEntry, REQUIRED_MOUNT_POINTS } from './manifest.js';
import { comparePaths, validateManifest } from './manifest-validation.js';
import type { Digest } from '../values.js';

const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const owner = { uid: 0, gid: 0, mtime: 1_700_000_000 } as const;
const directory = (path: string): ManifestEntry => ({ path, type: 'directory', mode: 0o755, ...owner });
const file = (path: string, text = path): ManifestEntry => ({
  path,
  type: 'file',
  mode: 0o644,
  ...owner,
  size: Buffer.byteLength(text),
  digest: digestOf(text),
});
const symlink = (path: string, target: string): ManifestEntry => ({
  path,
  type: 'symlink',
  mode: 0o777,
  ...owner,
  target,
});

function sealed(entries: readonly ManifestEntry[], changes: Record<string, unknown> = {}): ImageManifest {
  const sorted = [...entries].sort((a, b) => comparePaths(a.path, b.path));
  const open = {
    schema: 1 as const,
    name: 'debian-12',
    version: 'v3',
    architecture: 'amd64',
    recipeDigest: digestOf('recipe'),
    mountPlan: {
      schema: 1 as const,
      places: [{ path: '/etc', bytes: 5_242_880, inodes: 1_000, content: 'overlay' as const, mode: 0o755 }],
    },
    mountScript: { digest: digestOf('#!/bin/sh\n'), bytes: 10, custom: false },
    environment: { LANG: 'C.UTF-8' },
    timezone: 'Europe/Vienna',
    command: ['/sbin/init'],
    stopSignal: 'SIGTERM',
    totals: {
      entries: sorted.length,
      bytes: sorted.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0),
    },
    entries: sorted,
    ...changes,
  };
  return { contentDigest: digestOf(contentDigestInput(open)), ...open };
}

const BASE = [directory('.'), ...REQUIRED_MOUNT_POINTS.map(directory), file('etc/hostname'), symlink('bin', 'usr/bin')];
const place = (changes: Record<string, unknown>): Record<string, unknown> => ({
  mountPlan: {
    schema: 1,
    places: [{ path: '/etc', bytes: 5_242_880, inodes: 1_000, content: 'overlay', mode: 0o755, ...changes }],
  },
});
const withEntry = (entry: Record<string, unknown> | ManifestEntry): ImageManifest =>
  sealed([...BASE, entry as ManifestEntry]);
const changed = (changes: Record<string, unknown>): unknown => ({ ...sealed(BASE), ...changes });

describe('validateManifest', () => {
  it('takes a sound manifest as it is', () => {
    const manifest = sealed(BASE);
    expect(validateManifest(JSON.parse(JSON.stringify(manifest)), digestOf)).toEqual({ ok: true, manifest });
  });

  it.each<[string, unknown, RegExp]>([
    ['not an object', [], /JSON object/],
    ['another schema', changed({ schema: 2 }), /^schema/],
    ['an unknown field', changed({ extra: 1 }), /^extra: is not/],
    [
      'a prototype key',
      JSON.parse(JSON.stringify(sealed(BASE)).replace('{', '{"__proto__":{},')),
      /^__proto__: is not/,
    ],
    ['a name that leaves the directory', changed({ name: '..' }), /^name/],
    ['a version that leaves the directory', changed({ version: '../v1' }), /^version/],
    ['a parent without a version', changed({ parent: 'debian-12' }), /^parent/],
    ['a time zone that is a path', changed({ timezone: '../../etc/shadow' }), /^timezone/],
    ['an empty command', changed({ command: [] }), /^command/],
    ['a signal that is none', changed({ stopSignal: 'TERM;reboot' }), /^stopSignal/],
    ['an environment with a line break', changed({ environment: { A: 'x\ny' } }), /^environment/],
    ['a mount script without digest', changed({ mountScript: { bytes: 1, custom: false } }), /^mountScript\.digest/],
    [
      'an endless mount script',
      changed({ mountScript: { digest: digestOf(''), bytes: 2 ** 40, custom: false } }),
      /^mountScript\.bytes/,
    ],
    ['no entries', changed({ entries: [] }), /^entries: must be a list/],
    ['no root', sealed(BASE.slice(1)), /root '\.'/],
    ['a root that is a file', sealed([...BASE.slice(1), { ...file('x'), path: '.' }]), /root '\.'/],
    ['a leading slash', withEntry(file('/etc/passwd')), /relative and normal/],
    ['a trailing slash', withEntry(directory('usr/')), /relative and normal/],
    ['a double slash', withEntry(file('etc//x')), /relative and normal/],
    ['a path upwards', withEntry(file('../x')), /component \.\./],
    ['a path upwards inside', withEntry(file('etc/../../x')), /component \.\./],
    ['a dot component', withEntry(file('./etc/x')), /component \./],
    ['an empty path', withEntry(file('')), /must not be empty/],
    ['NUL in a path', withEntry(file('etc/x\0y')), /control characters/],
    ['a line break in a path', withEntry(file('etc/x\ny')), /control characters/],
    ['a lone surrogate in a path', withEntry(file('etc/\ud800')), /well-formed/],
    ['a component of 256 bytes', withEntry(file('x'.repeat(256))), /255 bytes/],
    ['a path of 3,000 bytes', withEntry(file('x/'.repeat(1_500) + 'y')), /2048 bytes/],
    ['a path of 65 levels', withEntry(file(Array(65).fill('x').join('/'))), /64 levels/],
    ['a child of a symlink', withEntry(file('bin/sh')), /parent must be a directory/],
    ['a child of a file', withEntry(file('etc/hostname/x')), /parent must be a directory/],
    ['a child of nothing', withEntry(file('usr/bin/sh')), /parent must be a directory/],
    ['the same path twice', withEntry(file('etc/hostname', 'other')), /stands twice/],
    ['a symlink beside a directory of its name', withEntry(symlink('etc', '/')), /stands twice/],
    ['a device', withEntry({ ...file('etc/null'), type: 'character-device' }), /type must be/],
    ['a hard link', withEntry({ ...symlink('etc/x', 'hostname'), type: 'link' }), /type must be/],
    ['a foreign field', withEntry({ ...file('etc/x'), xattrs: {} }), /unknown field "xattrs"/],
    ['file type bits in the mode', withEntry({ ...file('etc/x'), mode: 0o100644 }), /mode must be/],
    ['a negative owner', withEntry({ ...file('etc/x'), uid: -1 }), /uid and gid/],
    ['an owner outside of every name space', withEntry({ ...file('etc/x'), gid: 2 ** 32 - 1 }), /uid and gid/],
    ['a fractional time', withEntry({ ...file('etc/x'), mtime: 1.5 }), /mtime/],
    ['a time before the epoch', withEntry({ ...file('etc/x'), mtime: -1 }), /mtime/],
    ['a negative size', withEntry({ ...file('etc/x'), size: -1 }), /size must be/],
    ['a size beyond every disk', withEntry({ ...file('etc/x'), size: 2 ** 53 - 1 }), /size must be/],
    ['a size that is text', withEntry({ ...file('etc/x'), size: '5' }), /size must be/],
    ['a file without digest', withEntry({ ...file('etc/x'), digest: undefined }), /digest must be/],
    ['a symlink to nowhere', withEntry(symlink('etc/x', '')), /target must be/],
    ['a symlink with NUL', withEntry(symlink('etc/x', 'a\0b')), /target must be/],
    ['wrong counts', sealed(BASE, { totals: { entries: 1, bytes: 5 } }), /^totals\.entries/],
    ['entries out of order', { ...sealed(BASE), entries: [...sealed(BASE).entries].reverse() }, /sorted by path/],
    [
      'a device directory that is a symlink',
      sealed([...BASE.filter((entry) => entry.path !== 'dev'), symlink('dev', '/')]),
      /"dev" must be a directory/,
    ],
    ['no place for the software', sealed(BASE.filter((entry) => entry.path !== 'sw')), /"sw" must be a directory/],
    ['a writable place that does not exist', sealed(BASE, place({ path: '/srv' })), /"srv" must be a directory/],
    ['a writable place that is a symlink', sealed(BASE, place({ path: '/bin' })), /"bin" must be a directory/],
    ['a relative place', sealed(BASE, place({ path: 'etc' })), /places\[0\]: path must be absolute/],
    ['a writable root', sealed(BASE, place({ path: '/' })), /places\[0\]: path must be absolute/],
    [
      'a place with a mount option in its name',
      sealed(BASE, place({ path: '/etc,exec' })),
      /places\[0\]: path must hold only/,
    ],
    ['a place upwards', sealed(BASE, place({ path: '/etc/..' })), /places\[0\]: path must be absolute/],
    ['a place in /proc', sealed(BASE, place({ path: '/proc/sys' })), /places\[0\]: path must not lie in/],
    ['a place over the data volume', sealed(BASE, place({ path: '/data' })), /places\[0\]: path must not lie in/],
    ['a place without a limit', sealed(BASE, place({ bytes: 0 })), /places\[0\]: bytes/],
    ['a place of a terabyte', sealed(BASE, place({ bytes: 2 ** 40 })), /places\[0\]: bytes/],
    ['unknown content of a place', sealed(BASE, place({ content: 'bind' })), /places\[0\]: content/],
    ['another content digest', changed({ contentDigest: digestOf('x') }), /^contentDigest: is not/],
    ['content changed under its digest', changed({ environment: { LANG: 'C' } }), /^contentDigest: is not/],
  ])('refuses %s', (_, value, problem) => {
    const checked = validateManifest(value, digestOf);
    expect(checked).toEqual({ ok: false, problems: expect.arrayContaining([expect.stringMatching(problem)]) });
  });

  it('names at most 20 problems', () => {
    const checked = validateManifest(
      sealed([...BASE, ...Array.from({ length: 50 }, (_, index) => file(`missing/${index}`))]),
      digestOf,
    );
    expect(checked.ok || checked.problems.length).toBe(20);
  });

  it('refuses a child place before its parent, and the same place twice', () => {
    const at = (path: string): object => ({ path, bytes: 8_192, inodes: 10, content: 'empty', mode: 0o755 });
    const plan = (...paths: string[]): Record<string, unknown> => ({ mountPlan: { schema: 1, places: paths.map(at) } });
    expect(validateManifest(sealed([...BASE, directory('var/log')], plan('/var', '/var/log')), digestOf).ok).toBe(true);
    expect(validateManifest(sealed([...BASE, directory('var/log')], plan('/var/log', '/var')), digestOf)).toMatchObject(
      { problems: [expect.stringContaining('a parent must stand before')] },
    );
    expect(validateManifest(sealed(BASE, plan('/var', '/var')), digestOf)).toMatchObject({
      problems: [expect.stringContaining('stands twice')],
    });
  });
});

describe('contentDigestInput', () => {
  it('does not depend on name, version, architecture or recipe', () => {
    const one = sealed(BASE);
    expect(
      contentDigestInput({ ...one, name: 'other', version: 'v9', recipeDigest: digestOf('y') } as ImageManifest),
    ).toBe(contentDigestInput(one));
  });
});

describe('comparePaths', () => {
  it.each([
    ['a', 'a-b', 'a/b'],
    ['.', '.plinth', 'a'],
    ['Z', 'a', 'é'],
    ['\u{fffd}', '\u{10000}', '\u{10ffff}'],
  ])('orders %s < %s < %s as bytes do', (...paths) => {
    const shuffled = [paths[2], paths[0], paths[1]] as string[];
    expect(shuffled.sort(comparePaths)).toEqual(paths);
    expect([...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(paths);
  });
});
