import { describe, expect, it } from '@jest/globals';
import { parseRecipe } from './parse-recipe.js';

/** Converts objects to Maps, as the YAML reader returns mappings. */
function mapped(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mapped);
  if (value === null || typeof value !== 'object') return value;
  return new Map(Object.entries(value).map(([key, field]) => [key, mapped(field)]));
}

const BASE = { name: 'debian-12', from: { mmdebstrap: { suite: 'bookworm' } } };
const parse = (changes: object): ReturnType<typeof parseRecipe> => parseRecipe(mapped({ ...BASE, ...changes }));
const SHA = 'a'.repeat(64);

function problemsOf(changes: object): readonly string[] {
  const parsed = parse(changes);
  return parsed.ok ? [] : parsed.problems.map(({ path, message }) => `${path}: ${message}`);
}

describe('parseRecipe', () => {
  it('fills in what the shortest recipe leaves out', () => {
    expect(parse({})).toEqual({
      ok: true,
      recipe: {
        name: 'debian-12',
        source: {
          kind: 'mmdebstrap',
          suite: 'bookworm',
          variant: 'minbase',
          components: ['main'],
          mirror: undefined,
          snapshot: undefined,
          security: true,
        },
        packages: { add: [], remove: [] },
        files: [],
        run: [],
        auth: { nsswitch: {}, pam: {} },
        timezone: undefined,
        env: {},
        writable: undefined,
        mountScript: undefined,
        entrypoint: undefined,
        command: undefined,
        workingDirectory: undefined,
        user: undefined,
        stopSignal: undefined,
        exposedPorts: undefined,
        tests: [],
        sourceDateEpoch: undefined,
      },
    });
  });

  it.each<[string, object, object]>([
    [
      'an image by its short form',
      { from: 'debian-12@v3' },
      { source: { kind: 'image', ref: { name: 'debian-12', version: 'v3' } } },
    ],
    [
      'an image without a version',
      { from: { image: 'debian-12' } },
      { source: { kind: 'image', ref: { name: 'debian-12' } } },
    ],
    [
      'a tarball',
      { from: { rootfs: { path: '/base.tar.gz', sha256: `sha256:${SHA}` } } },
      { source: { kind: 'rootfs', path: '/base.tar.gz', sha256: SHA } },
    ],
    [
      'an OCI layout',
      { from: { oci: { path: '/layout', ref: 'latest' } } },
      { source: { kind: 'oci', path: '/layout', ref: 'latest' } },
    ],
    [
      "a mirror of one's own",
      { from: { mmdebstrap: { suite: 'sid', mirror: 'http://mirror/debian' } } },
      { source: { suite: 'sid', mirror: 'http://mirror/debian', security: false } },
    ],
    [
      'commands as text and as words',
      { run: ['echo a', ['/bin/true', '-x']] },
      {
        run: [
          ['/bin/sh', '-ec', 'echo a'],
          ['/bin/true', '-x'],
        ],
      },
    ],
    ['an init', { init: '/opt/init' }, { entrypoint: [], command: ['/opt/init'], stopSignal: undefined }],
    ["systemd's name", { init: '/sbin/init' }, { command: ['/sbin/init'], stopSignal: 'SIGRTMIN+3' }],
    ['another signal', { init: '/sbin/init', stopSignal: 'SIGPWR' }, { stopSignal: 'SIGPWR' }],
    ['an entry point', { entrypoint: ['/entry.sh', '-x'] }, { entrypoint: ['/entry.sh', '-x'], command: undefined }],
    ['no entry point', { entrypoint: [] }, { entrypoint: [] }],
    [
      'how a process is run',
      {
        workingDirectory: '/srv/app',
        user: 'web:web',
        stopSignal: 'SIGQUIT',
        exposedPorts: [443, '80', '53/udp', '80/tcp'],
      },
      {
        workingDirectory: '/srv/app',
        user: 'web:web',
        stopSignal: 'SIGQUIT',
        exposedPorts: ['53/udp', '80/tcp', '443/tcp'],
      },
    ],
    ['a user by number', { user: 33 }, { user: '33' }],
    ['the root as working directory', { workingDirectory: '/' }, { workingDirectory: '/' }],
    ['no ports', { exposedPorts: [] }, { exposedPorts: [] }],
    [
      'a file in base64',
      { files: [{ path: '/etc/x', base64: 'aGk=', mode: '4755', owner: 'www-data:33' }] },
      {
        files: [{ path: '/etc/x', content: Buffer.from('hi'), mode: 0o4755, owner: { user: 'www-data', group: '33' } }],
      },
    ],
    [
      'packages with version and architecture',
      { packages: { add: ['g++', 'libc6:i386', 'curl=7.88.1-10+deb12u1'] } },
      { packages: { add: ['g++', 'libc6:i386', 'curl=7.88.1-10+deb12u1'] } },
    ],
    ['null as absent', { packages: null, tests: null }, { packages: { add: [], remove: [] } }],
    [
      'nsswitch with actions',
      { auth: { nsswitch: { hosts: ['files', '[NOTFOUND=return]', 'dns'] } } },
      { auth: { nsswitch: { hosts: ['files', '[NOTFOUND=return]', 'dns'] } } },
    ],
  ])('reads %s', (_, changes, expected) => {
    expect(parse(changes)).toMatchObject({ ok: true, recipe: expected });
  });

  it('sorts writable places, parents first, and always has /etc', () => {
    const parsed = parse({
      writable: [
        { path: '/var/log', size: '1M' },
        { path: '/var', size: 33_554_432, content: 'copy' },
        { path: '/tmp', content: 'empty', mode: '1777', inodes: 100 },
      ],
    });
    expect(parsed).toMatchObject({
      ok: true,
      recipe: {
        writable: [
          { path: '/etc', bytes: 16 * 1024 ** 2, content: 'overlay' },
          { path: '/tmp', mode: 0o1777, inodes: 100, content: 'empty' },
          { path: '/var', bytes: 33_554_432, content: 'copy' },
          { path: '/var/log', bytes: 1024 ** 2, inodes: 256 },
        ],
      },
    });
  });

  it.each<[string, object, RegExp]>([
    ['no source', { from: undefined }, /^from: must/],
    [
      'two sources',
      { from: { image: 'a', oci: { path: '/x', ref: 'y' } } },
      /^from: must name exactly one of .*, not oci and image/,
    ],
    ['a misspelt key', { pakages: {} }, /^pakages: .*did you mean packages\?/],
    ['a misspelt key inside', { packages: { ad: [] } }, /^packages\.ad: .*did you mean add\?/],
    ['a prototype key', JSON.parse('{"__proto__x":1}'), /^__proto__x: is not known/],
    ['an upper-case name', { name: 'Debian' }, /^name: /],
    ['a name that is a path', { name: '../x' }, /^name: /],
    ['a name that is a number', { name: 12 }, /^name: must be text; put it in quotes/],
    ['a suite with an option', { from: { mmdebstrap: { suite: '--help' } } }, /^from\.mmdebstrap\.suite: /],
    [
      'a mirror with a space',
      { from: { mmdebstrap: { suite: 'sid', mirror: 'http://x/ [trusted=yes]' } } },
      /^from\.mmdebstrap\.mirror: /,
    ],
    [
      'a mirror with a password',
      { from: { mmdebstrap: { suite: 'sid', mirror: 'http://u:p@x/' } } },
      /must not hold a user name/,
    ],
    [
      'a file URL',
      { from: { rootfs: { url: 'file:///etc/shadow', sha256: SHA } } },
      /^from\.rootfs\.url: must begin with http/,
    ],
    ['a tarball without digest', { from: { rootfs: { path: '/x' } } }, /^from\.rootfs\.sha256: is missing/],
    [
      'a tarball outside',
      { from: { rootfs: { path: '/../etc/shadow', sha256: SHA } } },
      /^from\.rootfs\.path: must be normal/,
    ],
    [
      'a wrong snapshot',
      { from: { mmdebstrap: { suite: 'sid', snapshot: '20251301T000000Z' } } },
      /^from\.mmdebstrap\.snapshot/,
    ],
    ['a package that is an option', { packages: { add: ['--allow-unauthenticated'] } }, /^packages\.add\[0\]: /],
    ['a package that removes', { packages: { add: ['apt-'] } }, /^packages\.add\[0\]: /],
    [
      'a package added and removed',
      { packages: { add: ['vi'], remove: ['vi'] } },
      /^packages\.remove\[0\]: is also in packages/,
    ],
    ['packages as text', { packages: { add: 'curl' } }, /^packages\.add: must be a list/],
    ['a file with ..', { files: [{ path: '/etc/../../x', content: '' }] }, /^files\[0\]\.path: must be normal/],
    ['a relative file', { files: [{ path: 'etc/x', content: '' }] }, /^files\[0\]\.path: must be an absolute path/],
    ['a file in /dev', { files: [{ path: '/dev/sda', content: '' }] }, /^files\[0\]\.path: must not lie in \/dev/],
    [
      'a file without content',
      { files: [{ path: '/etc/x' }] },
      /^files\[0\]: must have exactly one of content, base64/,
    ],
    [
      'a file with a bare mode',
      { files: [{ path: '/etc/x', content: '', mode: 644 }] },
      /^files\[0\]\.mode: .*in quotes/,
    ],
    [
      'a file twice',
      {
        files: [
          { path: '/a', content: '' },
          { path: '/a', content: '' },
        ],
      },
      /^files: \/a stands twice/,
    ],
    ['broken base64', { files: [{ path: '/a', base64: '#' }] }, /^files\[0\]\.base64: /],
    ['NUL in content', { files: [{ path: '/a', content: '\0' }] }, /^files\[0\]\.content: must not hold NUL/],
    ['an empty command', { run: [' '] }, /^run\[0\]: must not be empty/],
    ['a command of numbers', { run: [[1]] }, /^run\[0\]\[0\]: must be text/],
    ['an unknown zone', { timezone: '../../etc/shadow' }, /^timezone: /],
    ['a variable name with =', { env: { 'A=B': 'x' } }, /^env\.A=B: /],
    ['a variable with a line break', { env: { A: 'x\ny' } }, /^env\.A: must be one line/],
    ['a variable that is a number', { env: { A: 1 } }, /^env\.A: must be text; put it in quotes/],
    ['a negative size', { writable: [{ path: '/var', size: -1 }] }, /^writable\[0\]\.size: /],
    ['a size with a minus', { writable: [{ path: '/var', size: '-16M' }] }, /^writable\[0\]\.size: /],
    ['a size of terabytes', { writable: [{ path: '/var', size: '4096G' }] }, /^writable\[0\]\.size: /],
    ['the root as a place', { writable: [{ path: '/' }] }, /^writable\[0\]\.path: /],
    ['/proc as a place', { writable: [{ path: '/proc/x' }] }, /must not lie in \/proc/],
    ['a place with a comma', { writable: [{ path: '/a,b' }] }, /^writable\[0\]\.path: /],
    ['a place twice', { writable: [{ path: '/a' }, { path: '/a' }] }, /^writable: \/a stands twice/],
    ['an unknown content', { writable: [{ path: '/a', content: 'bind' }] }, /^writable\[0\]\.content: must be one of/],
    ['a mount script without interpreter', { mountScript: 'mount' }, /^mountScript: must begin with #!/],
    ['init beside command', { init: '/a', command: ['/b'] }, /^init: must not stand beside command/],
    ['init beside an entry point', { init: '/a', entrypoint: ['/b'] }, /^init: must not stand beside entrypoint/],
    ['an entry point as text', { entrypoint: '/b' }, /^entrypoint: must be text or a list/],
    ['a relative working directory', { workingDirectory: 'srv' }, /^workingDirectory: must be an absolute path/],
    ['a user with a line break', { user: 'a\nb' }, /^user: must be user/],
    ['a user that is no whole number', { user: 1.5 }, /^user: must be text/],
    ['a port out of range', { exposedPorts: [65536] }, /^exposedPorts\[0\]: must be a port/],
    ['ports as text', { exposedPorts: '80' }, /^exposedPorts: must be a list/],
    ['a command as text', { command: 'sleep' }, /^command: must be text or a list/],
    ['a signal that is none', { stopSignal: 'SIGTERM;reboot' }, /^stopSignal: /],
    ['a test without a name', { tests: [{ run: 'true' }] }, /^tests\[0\]\.name: is missing/],
    [
      'a test twice',
      {
        tests: [
          { name: 'a', run: 'true' },
          { name: 'a', run: 'true' },
        ],
      },
      /^tests\[1\]\.name: stands twice/,
    ],
    ['an exit code of 256', { tests: [{ name: 'a', run: 'true', expectExit: 256 }] }, /^tests\[0\]\.expectExit: /],
    ['a PAM service that is a path', { auth: { pam: { '../x': '' } } }, /^auth\.pam\.\.\.\/x: /],
    [
      'a source with a line break',
      { auth: { nsswitch: { passwd: ['files\nshadow: x'] } } },
      /^auth\.nsswitch\.passwd\[0\]: /,
    ],
    ['a time before the epoch', { sourceDateEpoch: -1 }, /^sourceDateEpoch: /],
  ])('refuses %s', (_, changes, expected) => {
    expect(problemsOf(changes)).toContainEqual(expect.stringMatching(expected));
  });

  it('names every mistake at once', () => {
    expect(
      problemsOf({ name: 'X', timezone: 'Nowhere', packages: { add: ['-x'] }, writable: [{ path: 'x' }] }).length,
    ).toBe(4);
  });

  it.each([[null], ['text'], [[]], [new Map([[{}, 1]])]])('refuses %p as a whole', (document) => {
    expect(parseRecipe(document).ok).toBe(false);
  });

  it('keeps the name of an invalid recipe, so that the requester can find it', () => {
    expect(parse({ timezone: 'Nowhere' })).toMatchObject({ ok: false, name: 'debian-12' });
  });
});
