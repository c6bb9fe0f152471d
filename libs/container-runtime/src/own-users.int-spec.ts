/** Containers with users of their own, on the real thing. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { VERSION_FILES, type MountPlan } from '@plinth/contracts';
import { hasCode } from '@plinth/host-os';
import { debianRootfs, RUN_VARIABLE } from '@plinth/testkit';
import { cgroupProcesses } from './kernel/cgroups.js';
import { enterPrivateMountNamespace } from './kernel/private-mount-namespace.js';
import { findProcesses, processArguments } from './kernel/process-table.js';
import { OciRuntime } from './oci-runtime.js';
import { ID_RANGES_DIRECTORY } from './run/id-ranges.js';
import { findExecutable } from './run/runtime-binary.js';
import type { ContainerSpec } from './spec/container-spec.js';
import { requiredDirectories } from './spec/mount-plan.js';
import { generateMountScript } from './spec/mount-script.js';
import { RANGE_SIZE } from './spec/oci-config.js';

const MiB = 1024 ** 2;
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 5 * MiB, inodes: 4096, content: 'overlay', mode: 0o755 },
    { path: '/var', bytes: 50 * MiB, inodes: 8192, content: 'overlay', mode: 0o755 },
    { path: '/tmp', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o1777 },
    { path: '/run', bytes: 5 * MiB, inodes: 1024, content: 'empty', mode: 0o755 },
    { path: '/root', bytes: 5 * MiB, inodes: 1024, content: 'copy', mode: 0o700 },
  ],
};

let scratch: string;
let image: string;
let runtime: OciRuntime;

beforeAll(async () => {
  const rootfs = await debianRootfs();
  await enterPrivateMountNamespace({ reexecute: false });
  // Mode 0700: no container may need to walk to it.
  scratch = mkdtempSync(join(dirname(rootfs), `own-users-${process.env[RUN_VARIABLE] ?? ''}-`));
  image = join(scratch, 'image', VERSION_FILES.root);
  mkdirSync(dirname(image));
  expect(spawnSync('cp', ['-al', rootfs, image]).status).toBe(0);
  for (const { path, mode } of requiredDirectories(PLAN)) mkdirSync(join(image, path), { recursive: true, mode });
  writeFileSync(join(dirname(image), VERSION_FILES.mountScript), generateMountScript(PLAN));
  mkdirSync(join(scratch, 'data/shop'), { recursive: true });
  mkdirSync(join(scratch, 'sw'));
  writeFileSync(join(scratch, 'sw/tool'), 'tool');
  const program = join(image, 'usr/bin/cat-raw');
  copyFileSync(join(image, 'bin/cat'), program);
  expect(spawnSync('setcap', ['cap_net_raw=ep', program]).status).toBe(0);
  copyFileSync(join(image, 'usr/bin/id'), join(image, 'usr/bin/id-as-root'));
  chmodSync(join(image, 'usr/bin/id-as-root'), 0o4755);
  rmSync(join(image, 'etc/resolv.conf'), { force: true });
  symlinkSync('/run/systemd/resolve/stub-resolv.conf', join(image, 'etc/resolv.conf'));
  const path = findExecutable('crun', process.env['PATH'] ?? '');
  if (path === undefined) throw new Error('crun is not installed');
  runtime = new OciRuntime({
    stateDirectory: join(scratch, 'state'),
    binary: { name: 'crun', path, reason: 'under test' },
  });
});

afterEach(async () => {
  for (const { id } of runtime.list()) await runtime.delete(id);
});

afterAll(() => {
  runtime.close();
  runtime.removeDirectories();
  rmSync(scratch, { recursive: true });
});

function specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: randomBytes(16).toString('hex'),
    imageRoot: image,
    mountPlan: PLAN,
    mountScript: { path: join(dirname(image), VERSION_FILES.mountScript), custom: false },
    environment: {},
    timezone: 'UTC',
    hostname: 'shop-1',
    command: ['sleep', 'infinity'],
    softwarePath: join(scratch, 'sw'),
    dataPath: join(scratch, 'data/shop'),
    limits: { memoryBytes: 128 * MiB, pids: 64, cpus: 1 },
    users: 'own',
    network: 'isolated',
    stopSignal: 'SIGTERM',
    ...change,
  };
}

async function started(change: Partial<ContainerSpec> = {}): Promise<string> {
  const spec = specOf(change);
  expect(await runtime.start(spec)).toMatchObject({ ok: true });
  return spec.id;
}

async function sh(id: string, script: string, user?: { uid: number; gid: number }): Promise<string> {
  let output = '';
  const onOutput = (chunk: Buffer): void => void (output += chunk.toString());
  const result = await runtime.exec(id, ['sh', '-c', script], { onStdout: onOutput, onStderr: onOutput, user });
  expect(result).toMatchObject({ ok: true });
  return `${output}${result.ok ? result.exitCode : ''}`;
}

/** Ids of the host that the programs of a container run with; not the runtime, which is on its way into it. */
function hostIds(id: string): readonly number[] {
  return cgroupProcesses(runtime.cgroupOf(id)).flatMap((pid) => {
    if (processArguments(pid)?.some((word) => word.includes('sleep')) !== true) return [];
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return [...status.matchAll(/^[UG]id:\t(.*)$/gm)].flatMap(([, ids = '']) => ids.split('\t').map(Number));
    } catch (error) {
      // It has ended meanwhile.
      if (hasCode(error, 'ENOENT', 'ESRCH')) return [];
      throw error;
    }
  });
}

const firstIdOf = async (id: string): Promise<number> =>
  Number((await sh(id, 'cat /proc/self/uid_map')).split(/\s+/)[2]);
const claims = (): readonly string[] =>
  (existsSync(ID_RANGES_DIRECTORY) ? readdirSync(ID_RANGES_DIRECTORY) : []).filter((range) =>
    readlinkSync(join(ID_RANGES_DIRECTORY, range)).startsWith(scratch),
  );

/** Lines of mount tables of this machine that are about views of the instance. */
function viewsAnywhere(): readonly string[] {
  const found = readdirSync('/proc').flatMap((pid) => (/^\d+$/.test(pid) ? mountsOf(pid) : []));
  return [...new Set(found)].filter((path) => path.startsWith(`${runtime.paths.views}/`));
}

function mountsOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .flatMap((line) => line.split(' ')[4] ?? []);
  } catch {
    // It has ended.
    return [];
  }
}

describe('a container with users of its own', () => {
  it('has one range of ids, and no process of it is a user of the host', async () => {
    const id = await started({
      command: ['sh', '-c', 'setpriv --reuid 33 --regid 33 --clear-groups sleep 600 & wait'],
    });
    const other = await started();
    const map = /^ *0 +(\d+) +65536$/.exec((await sh(id, 'cat /proc/self/uid_map')).replace(/\n0$/, ''));
    const first = Number(map?.[1]);
    expect((await sh(id, 'cat /proc/self/gid_map')).trim().split(/\s+/)).toEqual(['0', String(first), '65536', '0']);
    // The command of the container, and one that is run in it meanwhile.
    let runs = true;
    const command = sh(id, 'sleep 0.3').finally(() => (runs = false));
    const ids = new Set(hostIds(other));
    for (; runs; await delay(20)) for (const each of hostIds(id)) ids.add(each);
    await command;
    const ranges = [first, await firstIdOf(other)];
    expect([...ids].filter((each) => !ranges.some((from) => each >= from && each < from + RANGE_SIZE))).toEqual([]);
    expect(ids).toContain(first + 33);
    expect(first).toBeGreaterThanOrEqual(524_288);
  });

  it('shares its range with no other running container of the machine, and keeps it over restarts', async () => {
    const another = new OciRuntime({ stateDirectory: join(scratch, 'another'), binary: runtime.binary });
    const spec = specOf();
    await runtime.start(spec);
    expect(await another.start(spec)).toMatchObject({ ok: true });
    const first = await firstIdOf(spec.id);
    expect(readlinkSync(join(ID_RANGES_DIRECTORY, String(first / RANGE_SIZE)))).toBe(
      join(scratch, 'state/bundles', spec.id),
    );
    expect(claims()).toHaveLength(2);
    await runtime.delete(spec.id);
    await runtime.start(spec);
    expect(await firstIdOf(spec.id)).toBe(first);
    for (const each of [another, runtime]) await each.delete(spec.id);
    another.close();
    another.removeDirectories();
    expect(claims()).toEqual([]);
  });

  it("sees the owners of the image's files, and its root may change what it may write", async () => {
    const id = await started();
    expect(await sh(id, 'stat -c "%u:%g %n" / /etc/shadow /etc/passwd /etc/hosts /bin/sh /sw/tool /var/mail')).toBe(
      '0:0 /\n0:42 /etc/shadow\n0:0 /etc/passwd\n0:0 /etc/hosts\n0:0 /bin/sh\n0:0 /sw/tool\n0:8 /var/mail\n0',
    );
    expect(await sh(id, 'chown 33:33 /etc/passwd && stat -c %u /etc/passwd')).toBe('33\n0');
    // Without attributes of the container's own, removed directories of the image would show through.
    expect(await sh(id, 'rm -r /etc/apt && mkdir /etc/apt && ls -A /etc/apt; ls -d /etc/apt')).toBe('/etc/apt\n0');
    expect(await sh(id, 'touch /usr/x /sw/x')).toMatch(/usr\/x.*Read-only.*\n.*sw\/x.*Read-only.*\n1$/);
    expect(statSync(join(image, 'etc/apt')).isDirectory()).toBe(true);
  });

  it('leaves its own ids on the data volume, and set-user-id files that no user of the host can reach', async () => {
    const id = await started();
    const script =
      'cd /data; touch root; touch web; chown 33:33 web; cp /bin/sh shell; chmod 4755 shell; stat -c "%u %n" *';
    expect(await sh(id, script)).toBe('0 root\n0 shell\n33 web\n0');
    const owners = ['root', 'web', 'shell'].map((name) => statSync(join(scratch, 'data/shop', name)).uid);
    expect(owners).toEqual([0, 33, 0]);
    // Nor does it help the container's own users: its processes get no new privileges, and the mount is nosuid.
    expect(await sh(id, '/data/shell -p -c "id -u"', { uid: 1000, gid: 1000 })).toBe('1000\n0');
    const found = spawnSync(join(scratch, 'data/shop/shell'), ['-c', 'id -u'], { uid: 1000, gid: 1000 });
    expect(found.error).toMatchObject({ code: 'EACCES' });
  });

  it('may ping as any user, by the kind of socket that needs no capability', async () => {
    const id = await started();
    // An echo request to 127.0.0.1, and the answer to it.
    const ping =
      'socket(my $s, 2, 2, 1) or die $!; my $to = pack("S n C4 x8", 2, 0, 127, 0, 0, 1); ' +
      'send($s, pack("C2n3", 8, 0, 0, 1, 1), 0, $to) or die $!; recv($s, my $a, 100, 0); print unpack("C", $a)';
    for (const user of [0, 1000]) expect(await sh(id, `perl -e '${ping}'`, { uid: user, gid: user })).toBe('00');
    // With the file capability that ping has in Debian, a program still starts.
    expect(await sh(id, 'cat-raw /etc/hostname', { uid: 1000, gid: 1000 })).toBe('shop-1\n0');
    expect(await sh(id, 'cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start')).toBe(
      '0\t65535\n0\n0',
    );
  });

  it('has names of its own as regular files, whatever the image has in their places', async () => {
    const id = await started();
    expect(
      await sh(id, 'cd /etc; stat -c "%F %n" hosts resolv.conf hostname; cat hostname; grep -c nameserver resolv.conf'),
    ).toBe('regular file hosts\nregular file resolv.conf\nregular file hostname\nshop-1\n0\n1');
    const look = (name: string): string => `perl -MSocket -e 'print inet_ntoa(scalar gethostbyname("${name}"))'`;
    expect(await sh(id, `${look('localhost')}; echo; ${look('shop-1')}; echo`)).toBe('127.0.0.1\n127.0.1.1\n0');
    // Each stays the container's to change.
    expect(await sh(id, 'echo "127.0.0.1 mine" >> /etc/hosts; getent hosts mine')).toMatch(/^127\.0\.0\.1 +mine\n0$/);
  });

  it('runs a custom mount script with its own rights, and from the bytes that were there at the start', async () => {
    const path = join(scratch, 'seen.sh');
    writeFileSync(
      path,
      'cat /proc/self/uid_map > $PLINTH_DATA/seen; mknod $PLINTH_DATA/x b 8 0 2>> $PLINTH_DATA/seen; exit 3',
    );
    expect(await runtime.start(specOf({ mountScript: { path, custom: true } }))).toMatchObject({
      reason: 'mount-script-failed',
    });
    expect(readFileSync(join(scratch, 'data/shop/seen'), 'utf8')).toMatch(
      /^ +0 +\d{6,} +65536\n.*Operation not permitted/,
    );
  });

  it.each([
    ['setuid', '0', true],
    [undefined, '1000', false],
  ] as const)(
    'gives programs the rights of their files only where the image asks for it (%s)',
    async (privileges, user, isRaw) => {
      const id = await started({ privileges });
      const ordinary = { uid: 1000, gid: 1000 };
      expect(await sh(id, 'id-as-root -u', ordinary)).toBe(`${user}\n0`);
      const status = await sh(id, 'cat-raw /proc/self/status', ordinary);
      const effective = BigInt(`0x${/^CapEff:\t(\w+)$/m.exec(status)?.[1]}`);
      expect(effective).toBe(isRaw ? 1n << 13n : 0n);
      // A ping socket, and what none of both gives: the mounts and devices of the machine, packets as they are on the wire.
      expect(await sh(id, "perl -MSocket -e 'socket(my $s, AF_INET, SOCK_DGRAM, 1) or exit 1'", ordinary)).toBe('0');
      expect(await sh(id, "perl -e 'exit(syscall(41, 17, 3, 0) < 0 ? 1 : 0)'")).toBe('1');
      expect(await sh(id, 'mount -t tmpfs t /tmp')).toMatch(/[1-9]\d*$/);
      expect(await sh(id, 'touch /usr/x')).toMatch(/Read-only file system\n1$/);
      const root = /^Cap(?:Bnd|Eff):\t(\w+)$/gm;
      for (const [, set = ''] of (await sh(id, 'cat /proc/self/status')).matchAll(root))
        // No SYS_ADMIN, NET_ADMIN, SYS_PTRACE, MKNOD, SYS_MODULE.
        for (const refused of [21n, 12n, 19n, 27n, 16n]) expect((BigInt(`0x${set}`) >> refused) & 1n).toBe(0n);
    },
  );

  it("ignores what an image asks for with the host's users", async () => {
    const id = await started({ privileges: 'setuid', users: 'host' });
    expect(await sh(id, 'id-as-root -u', { uid: 1000, gid: 1000 })).toBe('1000\n0');
  });

  it('has views that the script of no other container can walk to', async () => {
    const wait = join(scratch, 'waits-for-go.sh');
    writeFileSync(wait, 'touch $PLINTH_DATA/here; while [ ! -e $PLINTH_DATA/go ]; do sleep 0.02; done; exit 3');
    const slow = specOf({ mountScript: { path: wait, custom: true } });
    const starting = runtime.start(slow);
    while (!existsSync(join(scratch, 'data/shop/here'))) await delay(5);
    const look = join(scratch, 'looks.sh');
    const home = `${runtime.paths.views}/${slow.id}`;
    writeFileSync(look, `ls ${home}/root ${home}/data > $PLINTH_DATA/seen 2>&1; exit 3`);
    mkdirSync(join(scratch, 'data/other'));
    await runtime.start(specOf({ dataPath: join(scratch, 'data/other'), mountScript: { path: look, custom: true } }));
    writeFileSync(join(scratch, 'data/shop/go'), '');
    expect(await starting).toMatchObject({ reason: 'mount-script-failed' });
    expect(readFileSync(join(scratch, 'data/other/seen'), 'utf8')).toMatch(
      /^ls: .*\/root': No such file or directory\nls: .*\/data': No such file or directory\n$/,
    );
    for (const name of ['here', 'go']) rmSync(join(scratch, 'data/shop', name));
  });

  it("with the host's network shows nothing of the host's kernel objects", async () => {
    const id = await started({ network: 'host' });
    expect(await sh(id, 'ls -A /sys; touch /sys/x')).toMatch(/^touch: .*Read-only file system\n1$/);
    expect(await sh(id, 'ls /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv4/ip_forward')).toMatch(/2$/);
  });

  it('is refused where a part of it is not possible, with the reason', async () => {
    const runc = findExecutable('runc', process.env['PATH'] ?? '');
    const other = new OciRuntime({
      stateDirectory: join(scratch, 'state-runc'),
      binary: { name: 'runc', path: runc ?? '', reason: 'under test' },
    });
    expect(await other.start(specOf())).toMatchObject({
      reason: 'user-namespace-failed',
      message: expect.stringContaining('install crun') as unknown,
    });
    expect(other.ownUsersProblem()).toMatch(/runc/);
    expect(other.list()).toEqual([]);
    other.close();
    other.removeDirectories();
    expect(runtime.ownUsersProblem()).toBeUndefined();
    expect(runtime.ownUsersProblem(join(scratch, 'data'))).toBeUndefined();
    // proc(5) is one of the file systems that can't be idmapped.
    expect(runtime.ownUsersProblem('/proc/sys')).toMatch(/mount_setattr .*\/proc\/sys.*no idmapped mounts/);
    const failed = await runtime.start(specOf({ dataPath: '/proc/sys' }));
    expect(failed).toMatchObject({ ok: false, reason: 'user-namespace-failed' });
    expect(runtime.list()).toEqual([]);
    expect(viewsAnywhere()).toEqual([]);
  });
});

it('leaves no process that waits for its maker, wherever that was killed', async () => {
  // Killed before the last step: the end of the child that the namespaces were made with.
  const library = join(import.meta.dirname, '../dist/kernel/user-namespace.js');
  const maker = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { writeSync } from 'node:fs';
       import { openNamespaces } from ${JSON.stringify(library)};
       const { kill } = process;
       process.kill = (pid) => { writeSync(1, String(pid)); kill.call(process, process.pid, 'SIGKILL'); };
       openNamespaces(1_000_000_000, 65_536);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [[child], ended] = await Promise.all([once(maker.stdout, 'data') as Promise<[Buffer]>, once(maker, 'exit')]);
  expect(ended).toEqual([null, 'SIGKILL']);
  const isThere = (): boolean => existsSync(`/proc/${child.toString()}`);
  for (const end = Date.now() + 60_000; isThere() && Date.now() < end;) await delay(100);
  expect(isThere()).toBe(false);
});

describe.each(['own', 'host'] as const)('a network that is made before it, with the users %s', (users) => {
  /** Without those that are ready for the next starts. */
  const descriptors = (): readonly string[] => {
    runtime.close();
    return openNamespaces();
  };
  const openNamespaces = (): readonly string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`);
        return /^(?:net|user):/.test(target) ? [target] : [];
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return [];
        throw error;
      }
    });

  it('is the one that the caller was given, with the settings of a container, and belongs to its users', async () => {
    const before = descriptors();
    const spec = specOf({ users });
    let given = '';
    let wasThere = true;
    const inNetwork = (namespace: string): undefined => {
      given = readlinkSync(namespace);
      // Its first process may not be there yet: this is done while the runtime works.
      wasThere = runtime.observe(spec.id)?.state === 'running';
    };
    const started = await runtime.start(spec, { inNetwork });
    if (!started.ok) throw new Error(started.message);
    expect(readlinkSync(`/proc/${started.pid}/ns/net`)).toBe(given);
    expect(wasThere).toBe(false);
    expect(descriptors()).toEqual(before);
    // The kernel shows ids of the user namespace that is asked, and other numbers for a network of the host's users.
    expect(
      await sh(spec.id, 'cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start'),
    ).toBe(`0\t${users === 'own' ? 65_535 : 2_147_483_647}\n0\n0`);
    // The kernel's objects are those of its own network, and read-only.
    expect(
      await sh(spec.id, 'ls /sys/class/net; awk \'$2 == "/sys" { print $3, substr($4, 1, 2) }\' /proc/mounts'),
    ).toBe('lo\nsysfs ro\n0');
    const map = readFileSync(`/proc/${started.pid}/uid_map`, 'utf8').trim().split(/ +/);
    expect(map[0]).toBe('0');
    expect(users === 'own' ? Number(map[1]) >= 524_288 && map[2] === '65536' : map[1] === '0').toBe(true);
    expect(await sh(spec.id, 'id -u; echo here > /data/here; stat -c %u:%g /data/here /etc/passwd')).toBe(
      '0\n0:0\n0:0\n0',
    );
    expect(await sh(spec.id, 'id -u; id -g', { uid: 1000, gid: 1000 })).toBe('1000\n1000\n0');
    await runtime.delete(spec.id);
    expect(runtime.observe(spec.id)).toBeUndefined();
  });

  it('may be refused, or fail: then nothing is left, and no instruction has run', async () => {
    const before = descriptors();
    const spec = specOf({ users, command: ['touch', '/data/ran-in-network'] });
    const refused = await runtime.start(spec, { inNetwork: () => 'no address' });
    expect(refused).toMatchObject({ reason: 'refused', message: 'no address' });
    const broken = (): never => {
      throw new Error('broken');
    };
    await expect(runtime.start(spec, { inNetwork: () => Promise.resolve().then(broken) })).rejects.toThrow('broken');
    const unknown = await runtime.start(specOf({ users, command: ['/nothing'] }), { inNetwork: () => undefined });
    expect(unknown).toMatchObject({ ok: false, reason: 'command-not-found' });
    expect(existsSync(join(scratch, 'data/shop/ran-in-network'))).toBe(false);
    expect(runtime.list()).toEqual([]);
    expect(viewsAnywhere()).toEqual([]);
    expect(descriptors()).toEqual(before);
  });
});

describe('between its creation and its first instruction', () => {
  it('the caller has the pid of its first process, and may refuse it', async () => {
    const spec = specOf({ command: ['touch', '/data/ran'] });
    let seen = '';
    const onCreated = (pid: number): string => {
      // The namespaces are there: a network device may be moved into them.
      seen = readFileSync(`/proc/${pid}/uid_map`, 'utf8');
      return 'no device';
    };
    expect(await runtime.start(spec, { onCreated })).toMatchObject({ reason: 'refused', message: 'no device' });
    expect(seen).toMatch(/^ +0 +\d{6,} +65536\n$/);
    expect(existsSync(join(scratch, 'data/shop/ran'))).toBe(false);
    expect(runtime.observe(spec.id)).toBeUndefined();
  });
});

describe('on the host', () => {
  it('the pages of an image are in memory once, however many containers read them', async () => {
    const file = join(image, 'usr/share/pages');
    writeFileSync(file, randomBytes(4 * MiB));
    const residentBytes = (): number =>
      Number(spawnSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', file]).stdout.toString());
    spawnSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
    expect(residentBytes()).toBe(0);
    const [first, second] = [await started(), await started()];
    expect(await sh(first, 'md5sum < /usr/share/pages > /dev/null')).toBe('0');
    // What a container has read through its view is what the host, and so every other container, finds in memory.
    expect(residentBytes()).toBe(4 * MiB);
    expect(await sh(second, 'md5sum < /usr/share/pages > /dev/null')).toBe('0');
    expect(residentBytes()).toBe(4 * MiB);
  });

  it('nothing is left after thirty starts and deletes', async () => {
    await runtime.delete(await started());
    const open = (): number => readdirSync('/proc/self/fd').length;
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
    const before = open();
    for (let round = 0; round < 10; round += 1) {
      const ids = await Promise.all([started(), started(), started()]);
      expect(new Set(await Promise.all(ids.map(firstIdOf))).size).toBe(3);
      await Promise.all(ids.map((id) => runtime.delete(id)));
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(mounts);
    expect(open()).toBeLessThanOrEqual(before);
    expect(readdirSync(runtime.paths.views)).toEqual([]);
    expect(claims()).toEqual([]);
  });

  it('nothing is left when an agent is killed while views are there, though other containers of it run on', async () => {
    const running = specOf();
    const script = join(scratch, 'waits.sh');
    writeFileSync(script, 'sleep 600.75');
    const cut = specOf({ mountScript: { path: script, custom: true } });
    const agent = agentThatStarts([running, cut]);
    // The second one's views are there, its mounts are not yet.
    while (findProcesses(['sleep'], '600.75').length === 0) await delay(10);
    agent.kill('SIGKILL');
    await once(agent, 'exit');
    expect(viewsAnywhere().length).toBeGreaterThan(0);
    const next = new OciRuntime({ stateDirectory: join(scratch, 'state'), binary: runtime.binary });
    await next.removeStrayViews();
    // Those that the runtime was given for the cut-off start go with its processes.
    await next.delete(cut.id);
    expect(viewsAnywhere()).toEqual([]);
    expect(next.observe(running.id)).toMatchObject({ state: 'running' });
    expect(await sh(running.id, 'cat /sw/tool')).toBe('tool0');
    await next.delete(running.id);
    expect(claims()).toEqual([]);
    expect(findProcesses(['sleep'], '600.75')).toEqual([]);
  });

  it('nothing is left whenever an agent is killed during a start', async () => {
    for (let delayMs = 0; delayMs <= 40; delayMs += 8) {
      const spec = specOf();
      const agent = agentThatStarts([spec]);
      await once(agent.stdout as NodeJS.ReadableStream, 'data');
      await delay(delayMs);
      agent.kill('SIGKILL');
      await once(agent, 'exit');
      await runtime.removeStrayViews();
      await runtime.delete(spec.id);
      expect([claims(), viewsAnywhere()]).toEqual([[], []]);
      expect(findProcesses(['conmon', 'crun', 'sleep'], spec.id)).toEqual([]);
    }
  });
});

/** Another process with the same state directory: prints a line, then starts containers one after the other. */
function agentThatStarts(specs: readonly ContainerSpec[]): ChildProcess {
  const script = `
    import { enterPrivateMountNamespace, OciRuntime } from ${JSON.stringify(join(import.meta.dirname, '../dist/index.js'))};
    await enterPrivateMountNamespace({ reexecute: false });
    const runtime = new OciRuntime(${JSON.stringify({ stateDirectory: join(scratch, 'state'), binary: runtime.binary })});
    process.stdout.write('begins');
    for (const spec of ${JSON.stringify(specs)}) await runtime.start(spec);
    setInterval(() => undefined, 1000);
  `;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}
