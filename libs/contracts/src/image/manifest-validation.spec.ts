import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import {
  contentBytes,
  contentDigestInput,
  type ImageManifest,
  type ManifestEntry,
  REQUIRED_MOUNT_POINTS,
} from './manifest.js';
import { comparePaths } from './entry-validation.js';
import { validateManifest } from './manifest-validation.js';
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
      bytes: contentBytes(sorted),
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
    ['another schema', changed({ schema: 3 }), /^schema/],
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

  const CAPABILITY = '0100000200200000000000000000000000000000';
  const OLD = file('etc/hostname') as Extract<ManifestEntry, { type: 'file' }>;
  const named = (path: string, changes: Record<string, unknown> = {}): ManifestEntry =>
    ({ ...OLD, path, link: 'etc/hostname', ...changes }) as ManifestEntry;
  const second = (...more: unknown[]): ImageManifest => sealed([...BASE, ...(more as ManifestEntry[])], { schema: 2 });

  it('takes further names of a file, capabilities, and what a process is run with', () => {
    const manifest = sealed(
      [
        ...BASE,
        named('etc/hostname2'),
        named('run/x'),
        { ...file('etc/ping'), capability: CAPABILITY } as ManifestEntry,
      ],
      {
        schema: 2,
        entrypoint: ['/entry.sh', '-x'],
        command: [],
        workingDirectory: '/srv/app',
        user: { name: 'web:33', uid: 33, gid: 33, additionalGids: [4] },
        exposedPorts: ['53/tcp', '53/udp', '8080/tcp'],
      },
    );
    expect(manifest.totals.bytes).toBe(OLD.size + 'etc/ping'.length);
    expect(validateManifest(JSON.parse(JSON.stringify(manifest)), digestOf)).toEqual({ ok: true, manifest });
  });

  it.each<[string, unknown, RegExp]>([
    ['a link in schema 1', sealed([...BASE, named('etc/x')]), /unknown field "link"/],
    [
      'a capability in schema 1',
      sealed([...BASE, named('etc/x', { capability: CAPABILITY, link: undefined })]),
      /unknown field/,
    ],
    ['an entry point in schema 1', sealed(BASE, { entrypoint: ['/x'] }), /^entrypoint: is not known/],
    ['a link to nothing', second(named('etc/x', { link: 'etc/none' })), /must name an earlier file/],
    ['a link to the outside', second(named('etc/x', { link: '../../etc/shadow' })), /must name an earlier file/],
    ['a link to an absolute path', second(named('etc/x', { link: '/etc/hostname' })), /must name an earlier file/],
    ['a link to a path that is not normal', second(named('etc/x', { link: 'etc/./hostname' })), /must name an earlier/],
    ['a link to a directory', second(named('etc/x', { link: 'etc' })), /must name an earlier file/],
    ['a link to a symlink', second(named('etc/x', { link: 'bin' })), /must name an earlier file/],
    ['a link to itself', second(named('etc/x', { link: 'etc/x' })), /must name an earlier file/],
    ['a link before its file', second(named('etc/a')), /must name an earlier file/],
    ['a chain of links', second(named('etc/x'), named('etc/y', { link: 'etc/x' })), /must name an earlier file/],
    ['a link that is no text', second(named('etc/x', { link: 7 })), /link must be a path/],
    ['a link with a prototype name', second(named('etc/x', { link: '__proto__' })), /must name an earlier file/],
    ['a link of another mode', second(named('etc/x', { mode: 0o4755 })), /mode must be that of the file/],
    ['a link of another owner', second(named('etc/x', { uid: 1 })), /uid must be that of the file/],
    ['a link of another size', second(named('etc/x', { size: 1 })), /size must be that of the file/],
    ['a link of another content', second(named('etc/x', { digest: digestOf('z') })), /digest must be that/],
    ['a link of another time', second(named('etc/x', { mtime: 5 })), /mtime must be that/],
    [
      'a link with a capability of its own',
      second(named('etc/x', { capability: CAPABILITY })),
      /capability must be that/,
    ],
    ['a symlink with a capability', second({ ...symlink('etc/x', 'y'), capability: CAPABILITY }), /unknown field/],
    ['a directory with a capability', second({ ...directory('etc/x'), capability: CAPABILITY }), /unknown field/],
    ['a short capability', second({ ...file('etc/x'), capability: '01000002' }), /40 lower-case hex/],
    [
      'a capability of 24 bytes',
      second({ ...file('etc/x'), capability: `01000003${'0'.repeat(40)}` }),
      /40 lower-case/,
    ],
    [
      'a capability in capitals',
      second({ ...file('etc/x'), capability: CAPABILITY.replace('2', 'A') }),
      /40 lower-case/,
    ],
    [
      'a capability of version 1',
      second({ ...file('etc/x'), capability: `01000001${'0'.repeat(32)}` }),
      /unknown head/,
    ],
    [
      'unknown flags of a capability',
      second({ ...file('etc/x'), capability: `03000002${'0'.repeat(32)}` }),
      /unknown head/,
    ],
    [
      'unknown capabilities',
      second({ ...file('etc/x'), capability: `01000002${'0'.repeat(16)}00020000${'0'.repeat(8)}` }),
      /not known/,
    ],
    [
      'bytes counted for every name',
      sealed([...BASE, named('etc/x')], { schema: 2, totals: { entries: BASE.length + 1, bytes: 2 * OLD.size } }),
      /^totals\.bytes/,
    ],
    ['an entry point that is text', sealed(BASE, { schema: 2, entrypoint: '/x' }), /^entrypoint: must be a list/],
    ['an empty entry point', sealed(BASE, { schema: 2, entrypoint: [] }), /^entrypoint: must be a list/],
    ['no word at all', sealed(BASE, { schema: 2, command: [] }), /^command: must be a list/],
    ['a relative working directory', sealed(BASE, { schema: 2, workingDirectory: 'srv' }), /^workingDirectory/],
    ['a working directory upwards', sealed(BASE, { schema: 2, workingDirectory: '/srv/..' }), /^workingDirectory/],
    ['the root as working directory', sealed(BASE, { schema: 2, workingDirectory: '/' }), /^workingDirectory/],
    ['a user that is a number', sealed(BASE, { schema: 2, user: 0 }), /^user: must be/],
    [
      'a user beyond every name space',
      sealed(BASE, { schema: 2, user: { name: 'x', uid: 2 ** 32, gid: 0, additionalGids: [] } }),
      /^user: uid/,
    ],
    [
      'a user of a strange name',
      sealed(BASE, { schema: 2, user: { name: 'a\nb', uid: 1, gid: 0, additionalGids: [] } }),
      /^user\.name/,
    ],
    [
      'a group that is text',
      sealed(BASE, { schema: 2, user: { name: 'x', uid: 1, gid: 0, additionalGids: ['4'] } }),
      /^user\.additionalGids/,
    ],
    [
      'more of a user',
      sealed(BASE, { schema: 2, user: { name: 'x', uid: 1, gid: 0, additionalGids: [], shell: '/x' } }),
      /^user\.shell/,
    ],
    ['a port out of range', sealed(BASE, { schema: 2, exposedPorts: ['65536/tcp'] }), /^exposedPorts/],
    ['the same port twice', sealed(BASE, { schema: 2, exposedPorts: ['80/tcp', '80/tcp'] }), /^exposedPorts/],
    ['ports that are no list', sealed(BASE, { schema: 2, exposedPorts: { '80/tcp': {} } }), /^exposedPorts/],
  ])('refuses %s', (_, value, problem) => {
    expect(validateManifest(value, digestOf)).toEqual({
      ok: false,
      problems: expect.arrayContaining([expect.stringMatching(problem)]),
    });
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
  it('holds links, capabilities and what a process is run with', () => {
    const one = sealed(BASE);
    const hostname = one.entries.find(({ path }) => path === 'etc/hostname');
    const texts = [
      one,
      { ...one, entries: one.entries.map((entry) => (entry === hostname ? { ...entry, capability: '01' } : entry)) },
      { ...one, entries: one.entries.map((entry) => (entry === hostname ? { ...entry, link: 'etc/x' } : entry)) },
      { ...one, entrypoint: ['/x'] },
      { ...one, workingDirectory: '/x' },
      { ...one, user: { name: 'x', uid: 1, gid: 1, additionalGids: [] } },
      { ...one, exposedPorts: ['80/tcp'] },
    ].map((manifest) => contentDigestInput(manifest as ImageManifest));
    expect(new Set(texts).size).toBe(texts.length);
  });

  it('of an image of schema 1 is what it always was', () => {
    expect(digestOf(contentDigestInput(sealed(BASE)))).toBe(
      'sha256:6dda97680d6d76ebb7b5b89e136590784216e81965d776c2818940cb1d8c4696',
    );
  });

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
