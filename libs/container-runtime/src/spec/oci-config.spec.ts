import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ContainerSpec } from './container-spec.js';
import { parseConmonAnswer } from '../run/conmon.js';
import { etcLayer, pamEnvironment, shellEnvironment } from './etc-layer.js';
import { buildOciConfig, CAPABILITIES } from './oci-config.js';
import { ALLOWED_SYSCALLS, DENIED_SYSCALLS, defaultSeccompProfile } from './seccomp-profile.js';
import { startFailure } from './start-failure.js';

const jail = { directory: '/views/x', filter: Buffer.from([6, 0, 0, 0, 0, 0, 0, 0]) };
const inputs = { instance: 'test', layerRoot: '/state/bundles/x', jail };
const base: ContainerSpec = {
  id: '0123456789abcdef0123456789abcdef',
  imageRoot: '/masters/debian-12/v3/root',
  mountPlan: { schema: 1, places: [{ path: '/etc', bytes: 5_000_000, inodes: 1000, content: 'overlay', mode: 0o755 }] },
  mountScript: { path: '/masters/debian-12/v3/mount.sh', custom: false },
  environment: {},
  timezone: 'UTC',
  hostname: 'shop-1',
  command: ['/sbin/init'],
  softwarePath: '/software/php',
  dataPath: '/volumes/shop-1',
  limits: {},
  users: 'host',
  network: 'isolated',
  stopSignal: 'SIGTERM',
};

describe('buildOciConfig', () => {
  it('lets nothing of image or tenant become an annotation, a hook, a mount option or a foreign path', () => {
    const words = fc.string({ unit: 'binary' });
    const dictionary = fc.dictionary(words, words);
    fc.assert(
      fc.property(
        dictionary,
        dictionary,
        words,
        words,
        fc.array(words),
        fc.boolean(),
        (environment, labels, hostname, timezone, command, custom) => {
          const spec = {
            ...base,
            environment,
            labels,
            hostname,
            timezone,
            command,
            mountScript: { ...base.mountScript, custom },
          };
          const config = buildOciConfig(spec, inputs);
          expect(config.annotations).toBeUndefined();
          expect(config.mounts).toEqual(buildOciConfig({ ...base, mountScript: spec.mountScript }, inputs).mounts);
          for (const { source, options } of config.mounts) {
            const paths = [source, ...options.flatMap((option) => option.split('=')[1]?.split(':') ?? [])].filter(
              (word) => word.startsWith('/'),
            );
            for (const path of paths) expect(path).toMatch(/^\/(?:state\/bundles|masters|software|volumes)\//);
          }
          const hooks = config.hooks?.createContainer ?? [];
          expect(hooks.map(({ path, args }) => [path, args.slice(3, 5), args.slice(-2)])).toEqual(
            custom ? [['/usr/bin/perl', ['/views/x', '0600000000000000'], ['/bin/sh', '/mount.sh']]] : [],
          );
          for (const { env } of hooks)
            expect(env.map((line) => line.split('=')[0])).toEqual([
              'PATH',
              'LC_ALL',
              'PLINTH_ROOT',
              'PLINTH_TIMEZONE',
              'PLINTH_LAYER',
              'PLINTH_SW',
              'PLINTH_DATA',
              'PLINTH_OVERLAY_OPTIONS',
            ]);
        },
      ),
    );
  });

  it.each(['/masters/a,b/root', '/masters/a:b/root', '/masters/../root', 'masters/root'])(
    'refuses the image root %s',
    (imageRoot) => {
      expect(() => buildOciConfig({ ...base, imageRoot }, inputs)).toThrow(RangeError);
    },
  );

  it('mounts everything without set-user-id, and all but /dev and /dev/pts without devices', () => {
    for (const { destination, options } of buildOciConfig(base, inputs).mounts) {
      expect(options).toContain('nosuid');
      if (!['/dev', '/dev/pts'].includes(destination)) expect(options).toContain('nodev');
    }
  });

  it('isolates by default', () => {
    const config = buildOciConfig(base, inputs);
    expect(config.root.readonly).toBe(true);
    expect(config.process.noNewPrivileges).toBe(true);
    expect(config.linux.namespaces.map(({ type }) => type).sort()).toEqual([
      'cgroup',
      'ipc',
      'mount',
      'network',
      'pid',
      'uts',
    ]);
    expect(config.mounts.map(({ destination }) => destination)).toContain('/dev');
    for (const name of ['SYS_ADMIN', 'MKNOD', 'NET_RAW', 'AUDIT_WRITE', 'SETFCAP'])
      expect(CAPABILITIES).not.toContain(`CAP_${name}`);
    expect(JSON.stringify(config)).not.toContain('rlimits');
  });

  it('gives a container with users of its own a range of ids, and no rules for devices, which it can not make', () => {
    const { linux, mounts, process } = buildOciConfig({ ...base, users: 'own' }, { ...inputs, firstId: 655_360 });
    const range = [{ containerID: 0, hostID: 655_360, size: 65_536 }];
    expect(linux).toMatchObject({ uidMappings: range, gidMappings: range });
    expect(linux.namespaces).toContainEqual({ type: 'user' });
    expect(linux.resources).not.toHaveProperty('devices');
    expect(linux.sysctl).toMatchObject({ 'net.ipv4.ping_group_range': '0 65535' });
    expect(process.capabilities.bounding).toEqual([...CAPABILITIES, 'CAP_NET_RAW', 'CAP_SETFCAP']);
    expect(process).toMatchObject({ noNewPrivileges: true, capabilities: { effective: CAPABILITIES } });
    const overlays = mounts.filter(({ type }) => type === 'overlay');
    expect(overlays.map(({ options }) => options.includes('userxattr'))).toEqual(overlays.map(() => true));
    expect(() => buildOciConfig({ ...base, users: 'own' }, inputs)).toThrow(RangeError);
  });

  it('gives an init its cgroup, and only where its users are its own', () => {
    const init = { ...base, users: 'own', command: ['/sbin/init'] } as const;
    const seen = (spec: ContainerSpec): unknown => {
      const { mounts, process } = buildOciConfig(spec, { ...inputs, firstId: 655_360 });
      const places = mounts.map(({ destination }) => destination);
      const has = (place: string): boolean => places.includes(place);
      return [has('/sys/fs/cgroup'), has('/run/lock'), process.env.includes('container=oci')];
    };
    expect(seen(init)).toEqual([true, true, true]);
    expect(seen({ ...init, users: 'host' })).toEqual([false, false, false]);
    expect(seen({ ...init, command: ['/bin/sleep', '1'] })).toEqual([false, false, false]);
    const [{ text } = { text: '' }] = etcLayer(init).flatMap((entry) =>
      entry.path === 'etc/machine-id' ? [entry] : [],
    ) as {
      text: string;
    }[];
    expect(text).toMatch(/^[0-9a-f]{32}\n$/);
    expect(etcLayer({ ...init, id: 'f'.repeat(32) })).not.toContainEqual(expect.objectContaining({ text }));
  });

  it('has its own name and address, and the name server, when it has an address', () => {
    const names = { addresses: ['10.64.0.7', 'fd00::7'], nameServer: '169.254.1.1', domain: 'acme.plinth.internal' };
    const texts = new Map(
      etcLayer({ ...base, hostname: 'shop-1', names }).flatMap((entry) =>
        entry.type === 'file' ? [[entry.path, entry.text] as const] : [],
      ),
    );
    expect(texts.get('etc/hosts')).toContain(
      '127.0.0.1 localhost\n10.64.0.7 shop-1.acme.plinth.internal shop-1\nfd00::7 shop-1.acme.plinth.internal shop-1\n::1',
    );
    expect(texts.get('etc/resolv.conf')).toBe(
      'nameserver 169.254.1.1\nsearch acme.plinth.internal\noptions ndots:1 timeout:2 attempts:2\n',
    );
  });

  it("never shows the host's kernel objects to a user namespace on the host's network", () => {
    const spec = { ...base, users: 'own', network: 'host' } as const;
    const { linux, mounts } = buildOciConfig(spec, { ...inputs, firstId: 655_360 });
    expect(mounts.find(({ destination }) => destination === '/sys')).toMatchObject({ type: 'tmpfs' });
    expect(linux).not.toHaveProperty('sysctl');
    expect(etcLayer(spec).map(({ path }) => path)).not.toContain('etc/resolv.conf');
  });

  it('gives no process more than it had, with any file capabilities of a program', () => {
    const { capabilities, noNewPrivileges } = buildOciConfig(base, inputs).process;
    expect(noNewPrivileges).toBe(true);
    expect(capabilities.bounding).toEqual([...CAPABILITIES, 'CAP_NET_RAW']);
    expect(capabilities.effective).toEqual(CAPABILITIES);
    expect(capabilities.permitted).toEqual(CAPABILITIES);
  });

  it('runs the process as the user of the image', () => {
    expect(buildOciConfig(base, inputs).process).toMatchObject({ user: { uid: 0, gid: 0 }, cwd: '/' });
    const user = { name: 'web', uid: 33, gid: 34, additionalGids: [4] };
    const { process } = buildOciConfig({ ...base, user, workingDirectory: '/srv' }, inputs);
    expect(process).toMatchObject({ user: { uid: 33, gid: 34, additionalGids: [4] }, cwd: '/srv' });
    expect(Object.keys(process.user)).not.toContain('name');
  });

  it('translates limits', () => {
    const { resources } = buildOciConfig({ ...base, limits: { memoryBytes: 1024, cpus: 0.5, pids: 7 } }, inputs).linux;
    expect(resources).toMatchObject({
      memory: { limit: 1024 },
      cpu: { quota: 50_000, period: 100_000, shares: 512 },
      pids: { limit: 7 },
    });
  });

  it('translates open files, and input and output of each disk', () => {
    const disks = [
      { major: 254, minor: 0 },
      { major: 7, minor: 1 },
    ];
    const io = { weight: 50, writeBytesPerSecond: 4096, readOperationsPerSecond: 9, disks };
    const { linux, process } = buildOciConfig({ ...base, limits: { openFiles: 64, io } }, inputs);
    expect(process.rlimits).toEqual([{ type: 'RLIMIT_NOFILE', soft: 64, hard: 64 }]);
    expect(linux.resources['blockIO']).toEqual({
      weight: 50,
      throttleWriteBpsDevice: disks.map((disk) => ({ ...disk, rate: 4096 })),
      throttleReadIOPSDevice: disks.map((disk) => ({ ...disk, rate: 9 })),
    });
  });
});

describe('the default system call filter', () => {
  it('names no call twice', () => {
    const names = [...ALLOWED_SYSCALLS, ...DENIED_SYSCALLS];
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it.each(['keyctl', 'add_key', 'bpf', 'userfaultfd', 'io_uring_setup', 'mount', 'unshare', 'setns', 'cachestat'])(
    'refuses %s',
    (name) => {
      expect(ALLOWED_SYSCALLS).not.toContain(name);
      expect(DENIED_SYSCALLS).toContain(name);
    },
  );

  it('answers ENOSYS to clone3, so that the C library falls back', () => {
    expect(defaultSeccompProfile('x64').syscalls.find(({ names }) => names.includes('clone3'))).toMatchObject({
      errnoRet: 38,
    });
  });

  /** Actions of all rules about a call that these arguments match. */
  function actions(name: string, ...values: number[]): string[] {
    const rules = defaultSeccompProfile('x64').syscalls.filter(({ names, args }) => names.includes(name) && args);
    const matching = rules.filter(({ args = [] }) =>
      args.every(({ index, value, valueTwo = 0, op }) => {
        const found = BigInt(values[index] ?? 0);
        if (op === 'SCMP_CMP_MASKED_EQ') return (found & BigInt(value)) === BigInt(valueTwo);
        return op === 'SCMP_CMP_EQ' ? found === BigInt(value) : found > BigInt(value);
      }),
    );
    return matching.map(({ action }) => action);
  }
  const HIGH = 2 ** 32;

  it.each([6, 17, 136])('permits all options of level %d but one, whatever the high bits are', (level) => {
    const refused = level === 6 ? 31 : 100;
    for (let option = 0; option < 128; option += 1) {
      const expected = [option === refused ? 'SCMP_ACT_ERRNO' : 'SCMP_ACT_ALLOW'];
      expect([option, actions('setsockopt', 3, level, option)]).toEqual([option, expected]);
      expect([option, actions('setsockopt', 3, HIGH + level, HIGH + option)]).toEqual([option, expected]);
    }
  });

  it('permits a netlink socket by its protocol, and none with high bits', () => {
    const permitted = Array.from({ length: 40 }, (_, protocol) => protocol).filter((protocol) =>
      actions('socket', 16, 3, protocol).includes('SCMP_ACT_ALLOW'),
    );
    expect(permitted).toEqual([0, 4, 9, 15, 16]);
    for (const protocol of [0, 6, 12]) expect(actions('socket', 16, 3, HIGH + protocol)).toEqual(['SCMP_ACT_ERRNO']);
    expect(actions('socket', HIGH + 16, 3, 12)).toEqual(['SCMP_ACT_ERRNO']);
  });
});

describe('a user', () => {
  it.each([-1, 0.5, 65_536, 2 ** 32 - 1, 2 ** 32])('never has the id %d', (id) => {
    for (const user of [
      { uid: id, gid: 0 },
      { uid: 0, gid: id },
      { uid: 0, gid: 0, additionalGids: [id] },
    ])
      expect(() => buildOciConfig({ ...base, user }, inputs)).toThrow(RangeError);
  });
});

describe('environment files', () => {
  it('quote what a shell would read otherwise', () => {
    expect(shellEnvironment({ A: "it's $(x)" })).toBe("export A='it'\\''s $(x)'\n");
    expect(pamEnvironment({ A: 'b c', B: '{"c":1}' })).toBe('A="b c"\nB={"c":1}\n');
  });
});

describe('answers of the runtime', () => {
  it.each([
    ['executable file `nosuch` not found in $PATH: No such file or directory', 'command-not-found'],
    ['open executable: Permission denied', 'command-not-executable'],
    ['mount `overlay` to `etc`: Invalid argument', 'mount-failed'],
    ['error executing hook `/bin/sh` (exit code: 1)', 'mount-script-failed'],
    ['creating cgroup directory: Permission denied', 'cgroup-failed'],
    ['write file: No space left on device', 'no-space'],
    ['', 'runtime-failed'],
  ])('%s means %s', (stderr, reason) => {
    expect(startFailure(stderr).reason).toBe(reason);
  });

  it.each([
    ['{"pid":42}\n', '', { ok: true, pid: 42 }],
    ['{"pid":-1,"message":"no\\n"}\n', '', { ok: false, stderr: 'no' }],
    ['', 'conmon: bad option', { ok: false, stderr: 'conmon: bad option' }],
    ['{"pid":', '', { ok: false, stderr: 'conmon ended without an answer "{\\"pid\\":"' }],
  ])('reads %j from conmon', (answer, complaints, expected) => {
    expect(parseConmonAnswer(answer, complaints)).toEqual(expected);
  });
});
