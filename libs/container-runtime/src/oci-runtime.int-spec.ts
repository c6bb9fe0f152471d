import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { VERSION_FILES, type Digest, type MountPlan } from '@plinth/contracts';
import { debianRootfs, RUN_VARIABLE } from '@plinth/testkit';
import { cgroupLayout } from './kernel/cgroup-tree.js';
import { cgroupProcesses } from './kernel/cgroups.js';
import type { ContainerSpec } from './spec/container-spec.js';
import { requiredDirectories } from './spec/mount-plan.js';
import { generateMountScript } from './spec/mount-script.js';
import { OciRuntime } from './oci-runtime.js';
import { checkBeforeMount } from './run/premount-checks.js';
import { enterPrivateMountNamespace } from './kernel/private-mount-namespace.js';
import { findProcesses, processArguments, sendSignal } from './kernel/process-table.js';
import { findExecutable } from './run/runtime-binary.js';

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
let users: ContainerSpec['users'] = 'host';

beforeAll(async () => {
  const rootfs = await debianRootfs();
  await enterPrivateMountNamespace({ reexecute: false });
  scratch = mkdtempSync(join(dirname(rootfs), `runtime-${process.env[RUN_VARIABLE] ?? ''}-`));
  image = join(scratch, 'image', VERSION_FILES.root);
  mkdirSync(dirname(image));
  // Hard links suffice: the tree is shared, and files are only added to it.
  expect(spawnSync('cp', ['-al', rootfs, image]).status).toBe(0);
  for (const { path, mode } of requiredDirectories(PLAN)) {
    mkdirSync(join(image, path), { recursive: true });
    chmodSync(join(image, path), mode);
  }
  writeFileSync(join(dirname(image), VERSION_FILES.mountScript), generateMountScript(PLAN));
  mkdirSync(join(scratch, 'data/shop'), { recursive: true });
  // These are copies: the tree shares its files with others.
  for (const [of, capability] of [
    ['cat-raw', 'cap_net_raw=ep'],
    ['cat-admin', 'cap_net_admin=ep'],
  ] as const) {
    const program = join(image, 'usr/bin', of);
    copyFileSync(join(image, 'bin/cat'), program);
    expect(spawnSync('setcap', [capability, program]).stderr?.toString()).toBe('');
  }
  mkdirSync(join(scratch, 'sw'));
  writeFileSync(join(scratch, 'sw/tool'), 'tool');
});

afterAll(() => {
  const left = processesOn(basename(scratch));
  // This runs after a failure as well: what a test has left must not run on.
  for (const pid of left) sendSignal(pid, 'SIGKILL');
  // Other tests mount there meanwhile.
  expect(readFileSync('/proc/1/mountinfo', 'utf8')).not.toContain(scratch);
  rmSync(scratch, { recursive: true });
  expect(left).toEqual([]);
});

/**
 * Processes with a mount from below a directory of that name: those of every container on its images, also when its
 * cgroup is gone.
 */
function processesOn(directory: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(`/${directory}/`);
      } catch (error) {
        // It ended during the check (EINVAL: it has no mounts any more).
        if (['ENOENT', 'ESRCH', 'EINVAL', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
        throw error;
      }
    });
}

function specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: randomBytes(16).toString('hex'),
    imageRoot: image,
    mountPlan: PLAN,
    mountScript: { path: join(dirname(image), VERSION_FILES.mountScript), custom: false },
    environment: { GREETING: "it's a $day", LANG: 'C.UTF-8' },
    timezone: 'Asia/Tokyo',
    hostname: 'shop-1',
    command: ['sleep', 'infinity'],
    softwarePath: join(scratch, 'sw'),
    dataPath: join(scratch, 'data/shop'),
    limits: { memoryBytes: 128 * MiB, pids: 64, cpus: 1 },
    users,
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

/**
 * Output of a command in the container, standard error included, and its exit code on the last line. The order of the
 * two streams is not certain: only one may have output.
 */
async function sh(id: string, script: string): Promise<string> {
  let output = '';
  const onOutput = (chunk: Buffer): void => void (output += chunk.toString());
  const result = await runtime.exec(id, ['sh', '-c', script], { onStdout: onOutput, onStderr: onOutput });
  expect(result).toMatchObject({ ok: true });
  return `${output}${result.ok ? result.exitCode : ''}`;
}

describe.each([
  ['crun', 'own'],
  ['crun', 'host'],
  // With users of their own, Debian's runc can run no command in them.
  ['runc', 'host'],
] as const)('%s, with the %s users:', (name, whose) => {
  beforeAll(() => {
    users = whose;
    const path = findExecutable(name, process.env['PATH'] ?? '');
    if (path === undefined) throw new Error(`${name} is not installed; both runtimes are to be tested`);
    runtime = new OciRuntime({
      stateDirectory: join(scratch, `state-${name}-${users}`),
      binary: { name, path, reason: 'under test' },
    });
  });

  afterEach(async () => {
    for (const { id } of runtime.list()) await runtime.delete(id);
  });

  afterAll(() => {
    for (const directory of [
      runtime.paths.bundles,
      runtime.paths.exits,
      runtime.paths.logs,
      runtime.paths.runtimeRoot,
      runtime.paths.sockets,
    ]) {
      expect(spawnSync('ls', ['-A', directory]).stdout.toString()).toBe('');
    }
    runtime.close();
    runtime.removeDirectories();
    expect(existsSync(dirname(runtime.paths.runtimeRoot))).toBe(false);
  });

  describe('a program with file capabilities', () => {
    it('can be started by root and by others, and gains nothing', async () => {
      const id = await started();
      const set = (of: string, user: string): Promise<string> =>
        sh(id, `setpriv --reuid ${user} --clear-groups /usr/bin/${of} /proc/self/status | grep Cap[EP]`);
      for (const user of ['0', '1000']) expect(await set('cat-raw', user)).toBe(await set('cat', user));
      expect(await sh(id, 'cat-raw /proc/self/status | grep NoNewPrivs')).toMatch(/^NoNewPrivs:\t1\n0$/);
      // Why images leave such a capability out: the program could not be started at all.
      expect(await sh(id, 'cat-admin /etc/hostname')).toMatch(/not permitted\n126$/);
    });
  });

  describe('an image with a user and a working directory', () => {
    it('runs the first process and commands in it with those ids, and without capabilities', async () => {
      const user = { uid: 33, gid: 34, additionalGids: [4, 24] };
      const id = await started({ user, workingDirectory: '/var/lib' });
      const seen = 'id -u; id -g; id -G; pwd; grep CapEff /proc/self/status';
      expect(await sh(id, seen)).toBe('33\n34\n34 4 24\n/var/lib\nCapEff:\t0000000000000000\n0');
      expect(await sh(id, 'grep -E "^(Uid|Gid|Groups)" /proc/1/status')).toMatch(/33\t33\t33\t33\nGid:\t34[^]*4 24/);
    });
  });

  describe('a container on a read-only image', () => {
    it('refuses writes to the root, takes them in the writable places, and forgets them at a restart', async () => {
      const spec = specOf();
      await runtime.start(spec);
      expect(await sh(spec.id, 'touch /usr/x /x /sw/x')).toMatch(
        /usr\/x.*Read-only.*\n.*\/x.*Read-only.*\n.*\/sw\/x.*Read-only[^]*1$/,
      );
      expect(
        await sh(
          spec.id,
          'for d in /etc /var /tmp /run /root /dev/shm; do echo new > $d/new || exit 1; done; sed -i s/root/toor/ /etc/passwd; cat /var/lib/dpkg/status | wc -l',
        ),
      ).toMatch(/^[1-9]\d+\n0$/);
      expect(await sh(spec.id, 'ls -A /.plinth; echo kept > /data/kept')).toBe('0');
      await runtime.delete(spec.id);
      await runtime.start(spec);
      expect(
        await sh(
          spec.id,
          'ls /etc/new /var/new /tmp/new /run/new /root/new 2>/dev/null; head -c4 /etc/passwd; cat /data/kept; stat -c %a /tmp',
        ),
      ).toBe('rootkept\n1777\n0');
    });

    it('has its time zone and environment, for the process and for logins, and may replace the files', async () => {
      const id = await started();
      expect(await sh(id, 'date +%Z; cat /etc/timezone; echo "$GREETING"; hostname; cat /etc/hostname')).toBe(
        "JST\nAsia/Tokyo\nit's a $day\nshop-1\nshop-1\n0",
      );
      expect(await sh(id, 'env -i sh -lc \'echo "$GREETING"\'; grep LANG /etc/environment')).toBe(
        'it\'s a $day\nLANG="C.UTF-8"\n0',
      );
      expect(
        await sh(
          id,
          'echo UTC > /etc/t && mv /etc/t /etc/timezone && ln -sf /usr/share/zoneinfo/UTC /etc/localtime && date +%Z',
        ),
      ).toBe('UTC\n0');
    });

    it('is confined: capabilities, privileges, masked paths, network, devices', async () => {
      const id = await started();
      expect(await sh(id, 'grep -E "CapEff|CapBnd|NoNewPrivs|^Seccomp:" /proc/self/status')).toBe(
        // CAP_NET_RAW (and CAP_SETFCAP) is in the bounding set only: a program with that file capability starts, and does
        // not get it.
        `CapEff:\t00000000000405fb\nCapBnd:\t00000000${users === 'own' ? '8' : '0'}00425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n0`,
      );
      expect(
        await sh(id, 'cat /proc/keys /proc/timer_list; ls /sys/firmware; echo 1 > /proc/sys/vm/overcommit_memory'),
      ).toMatch(/^sh: .*Read-only file system\n2$/);
      expect(await sh(id, 'ls /sys/class/net')).toBe('lo\n0');
      expect(await sh(id, 'mknod /tmp/d c 1 3')).toMatch(/^mknod: .*Operation not permitted\n1$/);
    });

    it('has the processor by its limit, beside the services of the host, and no swap', async () => {
      const limits = { memoryBytes: 64 * MiB, cpus: 0.25 };
      const group = runtime.cgroupOf(await started({ limits }));
      const read = (path: string): string => readFileSync(`/sys/fs/cgroup${path}`, 'utf8').trim();
      // In no group that is shared: a neighbour would wait for the turn of all.
      expect(group.lastIndexOf('/')).toBe(0);
      if (cgroupLayout() === 'unified') {
        expect(read(`${group}/cpu.weight`)).toBe('25');
        expect(read(`${group}/memory.swap.max`)).toBe('0');
      } else {
        expect(read(`/cpu${group}/cpu.shares`)).toBe('256');
        expect(read(`/memory${group}/memory.memsw.limit_in_bytes`)).toBe(String(64 * MiB));
      }
    });

    it('answers the refused system calls with the expected error', async () => {
      const id = await started();
      const calls = {
        'socket(AF_ALG)': '41,38,5,0',
        'socket(AF_VSOCK)': '41,40,1,0',
        'socket(XFRM)': '41,16,3,6',
        keyctl: '250,0,0,0',
        bpf: '321,0,0,0',
        io_uring_setup: '425,1,0,0',
      };
      const refused = {
        ...calls,
        userfaultfd: '323,0,0,0',
        'unshare(USER)': '272,0x10000000',
        'clone(USER)': '56,0x10000011,0,0,0,0',
        mount: '165,0,0,0,0,0',
        cachestat: '451,0,0,0,0',
      };
      for (const [name, args] of Object.entries(refused)) {
        expect([name, await sh(id, `perl -e 'exit(syscall(${args}) < 0 ? $!+0 : 0)'`)]).toEqual([name, '1']);
      }
      expect(await sh(id, "perl -e 'syscall(435,0,0); exit($!+0)'")).toBe('38');
      expect(await sh(id, "perl -e 'exit(syscall(41,2,1,0) < 0 ? 1 : 0)'")).toBe('0');
    });

    if (name === 'crun')
      it('is the same whether the plan or the generated script mounts', async () => {
        const look =
          'awk \'{ d = ""; for (i = 7; i <= NF; i++) if ($i == "-") { d = $(i+1) " " $(i+3) }; print $5, $6, d }\' /proc/self/mountinfo | sed -E "s/lowerdir=[^,]*/lowerdir/; s@dir=[^,]*/root/.plinth@dir=/root/.plinth@g; s/[0-9a-f]{32}/id/g; s/([ug]id)=[0-9]*/\\1/g" | sort; ' +
          'find /etc /var /tmp /run /root -printf "%p %y %m %U:%G %l\\n" | sort | sha256sum; cd /etc; cat environment timezone hostname profile.d/plinth.sh; readlink localtime';
        const byPlan = await sh(await started(), look);
        const script = { path: join(dirname(image), VERSION_FILES.mountScript), custom: true };
        const spec = specOf({ mountScript: script });
        expect(await runtime.start(spec)).toMatchObject({ ok: true });
        expect(await sh(spec.id, look)).toBe(byPlan);
      });
  });

  if (name === 'runc')
    it('is refused with a custom mount script by runc, which could run no command in it', async () => {
      const script = { path: join(dirname(image), VERSION_FILES.mountScript), custom: true };
      expect(await runtime.start(specOf({ mountScript: script }))).toMatchObject({
        reason: 'mount-script-failed',
        message: expect.stringContaining('install crun') as unknown,
      });
      expect(runtime.list()).toEqual([]);
    });

  if (name === 'crun')
    describe('a custom mount script', () => {
      it('gets a fixed environment and a deadline, and its failure is reported', async () => {
        const path = join(scratch, 'custom.sh');
        const report = join(scratch, 'data/shop/seen');
        process.env['PLINTH_CANARY'] = 'secret';
        writeFileSync(path, 'env > $PLINTH_DATA/seen; exit 3');
        const failed = await runtime.start(
          specOf({ environment: { LD_PRELOAD: '/evil.so' }, mountScript: { path, custom: true } }),
        );
        delete process.env['PLINTH_CANARY'];
        expect(failed).toMatchObject({ ok: false, reason: 'mount-script-failed' });
        expect(readFileSync(report, 'utf8')).not.toMatch(/CANARY|LD_PRELOAD/);
        rmSync(report);
        expect(runtime.list()).toEqual([]);
      });

      it('sees the image, its layer and its volumes only, with few rights and no way out', async () => {
        const path = join(scratch, 'jailed.sh');
        const seen = join(scratch, 'data/shop/seen');
        const probes = {
          root: 'cd /; ls -d bin boot data etc home layer mount.sh opt root run srv sw sys tmp usr var 2> /dev/null; cat /sw/tool; echo',
          rights: "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status",
          descriptors: 'ls /proc/self/fd',
          process: 'ls /root/proc/1/root/; ls /root/proc/1/cwd/',
          chroot: 'chroot /root /bin/true',
          namespaces: 'unshare -m true; nsenter -t 1 -m true; unshare -U true',
          image:
            'mount -o remount,bind,rw /root; touch /root/x; mount --bind /root /root/tmp; mount -o remount,bind,rw /root/tmp; touch /root/tmp/x',
          jail: 'touch /x; mount -o remount,bind,rw /; touch /x',
          device: 'mknod /data/disk b 8 0',
          own: 'mount -t tmpfs t /root/tmp; touch /root/tmp/mine; ls /root/tmp; umount /root/tmp',
        };
        const lines = Object.entries(probes).map(([name, script]) => `echo "# ${name}"; ${script}`);
        writeFileSync(path, `{ ${lines.join('\n')}\n} 2>&1 | grep -v dmesg > $PLINTH_DATA/seen\nexit 3`);
        const failed = await runtime.start(specOf({ mountScript: { path, custom: true } }));
        expect(failed).toMatchObject({ reason: 'mount-script-failed' });
        const found = Object.fromEntries(
          readFileSync(seen, 'utf8')
            .split(/^# /m)
            .slice(1)
            .map((part) => [
              part.slice(0, part.indexOf('\n')),
              part
                .slice(part.indexOf('\n') + 1)
                .trim()
                .split('\n'),
            ]),
        );
        rmSync(seen);
        expect(found['root']).toEqual('bin data etc layer mount.sh root sw usr tool'.split(' '));
        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN; SETFCAP with users of its own.
        const capabilities = users === 'own' ? '000000008020001b' : '000000000020001b';
        expect(found['rights']).toEqual([
          ...['CapInh:\t0000000000000000', `CapPrm:\t${capabilities}`, `CapEff:\t${capabilities}`],
          ...[`CapBnd:\t${capabilities}`, 'CapAmb:\t0000000000000000', 'NoNewPrivs:\t1', 'Seccomp:\t2'],
        ]);
        // The third is the directory that ls reads.
        expect(found['descriptors']?.slice(0, 3)).toEqual(['0', '1', '2']);
        expect(found['descriptors']?.length).toBeLessThanOrEqual(4);
        for (const [name, refusals] of [
          ['process', 2],
          ['chroot', 1],
          ['namespaces', 3],
          ['image', 4],
          ['jail', users === 'own' ? 2 : 3],
          ['device', 1],
        ] as const) {
          expect([name, found[name]?.length, found[name]]).toEqual([name, refusals, found[name]]);
          for (const line of found[name] ?? []) expect(line).toMatch(/ermission denied|not permitted|ead-only|failed/);
        }
        expect(found['own']).toEqual(['mine']);
        expect(existsSync(join(image, 'x')) || existsSync(join(image, 'tmp/x'))).toBe(false);
        expect(runtime.list()).toEqual([]);
      });

      it('with other bytes than the image was signed with is not run', async () => {
        const path = join(scratch, 'exchanged.sh');
        writeFileSync(path, 'touch $PLINTH_DATA/ran; exit 3');
        const digest: Digest = `sha256:${createHash('sha256').update('exit 3').digest('hex')}`;
        expect(await runtime.start(specOf({ mountScript: { path, custom: true, digest } }))).toMatchObject({
          reason: 'mount-script-mismatch',
        });
        expect(existsSync(join(scratch, 'data/shop/ran'))).toBe(false);
        expect(runtime.list()).toEqual([]);
      });

      it.each(['sleep 600.25', 'trap "" TERM; while :; do sleep 600.25; done', 'sleep 600.25 & wait'])(
        'that hangs (%s) is ended with all that it started, and that is reported',
        async (body) => {
          const path = join(scratch, 'hangs.sh');
          writeFileSync(path, body);
          const hasty = new OciRuntime({
            stateDirectory: join(scratch, `hasty-${name}-${users}`),
            binary: runtime.binary,
            hookDeadlineSeconds: 1,
          });
          const failed = await hasty.start(specOf({ mountScript: { path, custom: true } }));
          expect(failed).toMatchObject({
            ok: false,
            reason: 'mount-script-timeout',
            message: 'the mount script did not end within 1 s',
          });
          expect(hasty.list()).toEqual([]);
          hasty.close();
          hasty.removeDirectories();
          expect(findProcesses(['sh', 'sleep'], '600.25').concat(findProcesses(['sh'], path))).toEqual([]);
        },
      );
    });

  describe('the life of a container', () => {
    it('reports pid, exit code and log', async () => {
      const spec = specOf({ command: ['sh', '-c', 'echo out; echo err >&2; read x < /tmp/never || exit 7'] });
      await runtime.start(spec);
      const exit = await runtime.waitExit(spec.id, AbortSignal.timeout(10_000));
      expect(exit).toMatchObject({ code: 7 });
      expect(runtime.isAnyRunning()).toBe(false);
      expect(runtime.observe(spec.id)).toMatchObject({ state: 'stopped', exit: { code: 7 } });
      expect(readFileSync(runtime.logPath(spec.id), 'utf8')).toMatch(/stdout F out[^]*|stderr F err/);
    });

    it.each([
      [['nosuch'], 'command-not-found'],
      [['/etc/passwd'], 'command-not-executable'],
    ])('refuses %j with a reason and leaves nothing', async (command, reason) => {
      const spec = specOf({ command });
      const failure = await runtime.start(spec);
      expect(failure).toMatchObject({ ok: false, reason });
      expect(failure).not.toMatchObject({ message: expect.stringContaining('level=') });
      expect(runtime.observe(spec.id)).toBeUndefined();
    });

    it('is not started twice', async () => {
      const spec = specOf();
      await runtime.start(spec);
      expect(await runtime.start(spec)).toMatchObject({ ok: false, reason: 'already-exists' });
      expect(runtime.observe(spec.id)).toMatchObject({ state: 'running', monitored: true });
      expect(runtime.isAnyRunning()).toBe(true);
    });

    it('is listed while anything of it is left, so that it is deleted before it is started again', async () => {
      const spec = specOf();
      writeFileSync(`${runtime.paths.exits}/${spec.id}`, '0');
      expect(runtime.list()).toMatchObject([{ id: spec.id, state: 'stopped' }]);
      await runtime.delete(spec.id);
      expect(runtime.list()).toEqual([]);
      expect(await runtime.start(spec)).toMatchObject({ ok: true });
    });

    it('runs a command that arrives before its own program', async () => {
      const spec = specOf();
      let first = 0;
      // With runc the first process takes part in its being let go, which then waits for it.
      const stop = (pid: number): undefined => void sendSignal((first = pid), 'SIGSTOP');
      await runtime.start(spec, name === 'crun' ? { onCreated: stop } : {});
      const result = runtime.exec(spec.id, ['true']);
      await Promise.race([result, delay(500)]);
      if (first !== 0) sendSignal(first, 'SIGCONT');
      expect(await result).toEqual({ ok: true, exitCode: 0 });
    });

    it('runs commands with input, user and deadline', async () => {
      const id = await started();
      let output = '';
      const onStdout = (chunk: Buffer): void => void (output += chunk.toString());
      expect(
        await runtime.exec(id, ['sh', '-c', 'cat; id -u; echo $EXTRA; exit 9'], {
          stdin: 'in\n',
          user: { uid: 33, gid: 33 },
          env: { EXTRA: 'x' },
          onStdout,
        }),
      ).toEqual({ ok: true, exitCode: 9 });
      expect(output).toBe('in\n33\nx\n');
      expect(await runtime.exec(id, ['sh', '-c', 'sleep 1000; true'], { timeoutMs: 100 })).toMatchObject({
        ok: false,
        reason: 'timeout',
      });
      await runtime.kill(id);
      await runtime.waitExit(id, AbortSignal.timeout(10_000));
      expect(await runtime.exec(id, ['true'])).toMatchObject({ ok: false, reason: 'not-running' });
    });

    describe('a repeated command', () => {
      const never = new AbortController().signal;
      /** Processes of the container, by what they run. */
      const sleepers = (id: string, seconds: string): readonly number[] =>
        cgroupProcesses(runtime.cgroupOf(id)).filter((pid) => processArguments(pid)?.includes(seconds) === true);

      it('returns how it ended and what it printed, again and again', async () => {
        const id = await started();
        const script = 'echo out; ls /proc/self/fd; echo err >&2; exit 9';
        const command = runtime.repeatedCommand(id, ['sh', '-c', script]);
        for (let round = 0; round < 3; round++) {
          const { output, ...end } = await command.run(60_000, never);
          expect(end).toEqual({ ok: true, exitCode: 9 });
          // runc copies the two streams, so their order is not kept.
          expect(output.replace('err\n', '')).toBe('out\n0\n1\n2\n3\n');
          expect(output).toContain('err\n');
        }
        const bundle = `${runtime.paths.bundles}/${id}`;
        const left = readdirSync(bundle).filter((file) => file.startsWith('exec-'));
        expect(left.flatMap((file) => readdirSync(join(bundle, file)))).toEqual([]);
        expect(await runtime.repeatedCommand(id, ['/nosuch']).run(60_000, never)).toMatchObject({ ok: true });
      });

      it('is not disturbed by one of the last run that is still being ended', async () => {
        const id = await started();
        const hanging = new AbortController();
        const last = runtime.repeatedCommand(id, ['sh', '-c', 'sleep 4716']).run(60_000, hanging.signal);
        while (sleepers(id, '4716').length === 0) await delay(10);
        const next = runtime.repeatedCommand(id, ['sh', '-c', 'sleep 0.2; echo well']).run(60_000, never);
        hanging.abort();
        expect(await last).toMatchObject({ ok: false, reason: 'aborted' });
        expect(await next).toEqual({ ok: true, exitCode: 0, output: 'well\n' });
      });

      it('keeps the end of a flood', async () => {
        const id = await started();
        const { output } = await runtime
          .repeatedCommand(id, ['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x; echo the end'])
          .run(60_000, never);
        expect(output).toHaveLength(4_000);
        expect(output.endsWith('xthe end\n')).toBe(true);
      });

      it('is killed at its deadline with everything that it has started, wherever that has put itself', async () => {
        const id = await started();
        const script = '(setsid sleep 4711 >/dev/null 2>&1 &); sleep 4711 & echo begun; sleep 4711';
        const command = runtime.repeatedCommand(id, ['sh', '-c', script]);
        const result = await command.run(2_000, never);
        expect(result).toEqual({ ok: false, reason: 'timeout', output: 'begun\n' });
        expect(sleepers(id, '4711')).toEqual([]);
        expect(runtime.observe(id)?.state).toBe('running');
      });

      it('is killed at any moment when it is no longer wanted', async () => {
        const id = await started();
        const command = runtime.repeatedCommand(id, ['sh', '-c', 'sleep 4712; true']);
        for (const delayMs of [0, 5, 20, 50, 100, 300]) {
          const wanted = new AbortController();
          setTimeout(() => wanted.abort(), delayMs);
          expect(await command.run(60_000, wanted.signal)).toMatchObject({ ok: false, reason: 'aborted' });
          expect(sleepers(id, '4712')).toEqual([]);
        }
      });

      it('does not wait for what it has left in the background', async () => {
        const id = await started();
        // runc itself waits until nothing holds the output any more.
        const silent = name === 'runc' ? '>/dev/null 2>&1' : '';
        const command = runtime.repeatedCommand(id, ['sh', '-c', `sleep 4713 ${silent} & echo left`]);
        expect(await command.run(60_000, never)).toEqual({ ok: true, exitCode: 0, output: 'left\n' });
      });

      it('is nothing in a container that does not run', async () => {
        const id = await started();
        const command = runtime.repeatedCommand(id, ['true']);
        await runtime.delete(id);
        expect(await command.run(60_000, never)).toMatchObject({ ok: false, reason: 'not-running' });
      });

      it('whose host agent was killed is ended by the next one, and nothing else is', async () => {
        const id = await started({ command: ['sh', '-c', 'sleep 4714 & sleep infinity'] });
        const script = '(setsid sleep 4715 >/dev/null 2>&1 &); sleep 4715';
        const interrupted = runtime.repeatedCommand(id, ['sh', '-c', script]).run(60_000, never);
        while (sleepers(id, '4715').length < 2) await delay(10);
        await runtime.endInterruptedCommands(id);
        expect(sleepers(id, '4715')).toEqual([]);
        expect(sleepers(id, '4714')).not.toEqual([]);
        expect(readdirSync(`${runtime.paths.bundles}/${id}`).filter((file) => file.startsWith('exec-'))).toEqual([]);
        await interrupted;
      });
    });

    it('is removed whole, whenever its starter was killed', async () => {
      for (let delayMs = 0; delayMs <= 30; delayMs += 3) {
        const spec = specOf();
        const starter = await killedStarter(spec, delayMs);
        expect(starter).toBe('SIGKILL');
        await runtime.delete(spec.id);
        expect(runtime.observe(spec.id)).toBeUndefined();
        expect(findProcesses(['conmon', name, 'sleep'], spec.id)).toEqual([]);
        expect(processesOn(basename(scratch))).toEqual([]);
        expect(cgroupDirectoriesOf(spec.id)).toEqual([]);
      }
    });

    it('leaves nothing in the temporary files of the machine when the runtime is killed', async () => {
      const id = await started();
      const [conmon = 0] = findProcesses(['conmon'], id);
      const { programCopies } = runtime.paths;
      expect(readFileSync(`/proc/${conmon}/environ`, 'utf8').split('\0')).toContain(
        `_LIBCONTAINER_STATEDIR=${programCopies}`,
      );
      writeFileSync(join(programCopies, 'crun.AbCdEf'), '');
      new OciRuntime({ stateDirectory: join(scratch, `state-${name}-${users}`), binary: runtime.binary });
      expect(readdirSync(programCopies)).toEqual([]);
      expect(runtime.observe(id)).toMatchObject({ state: 'running' });
    });

    it('leaves nothing on what hides the second hierarchy', async () => {
      const used = (): number => {
        // The second hierarchy is hidden on hybrid cgroups only.
        if (!existsSync('/sys/fs/cgroup/unified')) return 0;
        const { files, ffree, blocks, bfree } = statfsSync('/sys/fs/cgroup/unified');
        return files - ffree + (blocks - bfree);
      };
      await runtime.delete(await started());
      const before = used();
      const ended = specOf({ command: ['true'] });
      await runtime.start(ended);
      await runtime.waitExit(ended.id, AbortSignal.timeout(10_000));
      await runtime.start(specOf({ command: ['nosuch'] }));
      const running = await started();
      await sh(running, 'true');
      for (const id of [ended.id, running]) await runtime.delete(id, { keepLog: true });
      expect(used()).toBe(before);
      for (const id of [ended.id, running]) await runtime.delete(id);
    });

    it('can be deleted when it never was', async () => {
      await runtime.delete(randomBytes(16).toString('hex'));
    });
  });
});

/** Cgroups of a container in every hierarchy, of every runtime instance. */
function cgroupDirectoriesOf(id: string): readonly string[] {
  const found = spawnSync('find', ['/sys/fs/cgroup', '-maxdepth', '3', '-type', 'd', '-name', `*${id}*`]);
  return found.stdout.toString().split('\n').filter(Boolean);
}

/** A bare `run` in a process of its own, killed after some ms: what an agent that is killed at that moment leaves. */
async function killedStarter(spec: ContainerSpec, delayMs: number): Promise<string | null> {
  const { buildOciConfig } = await import('./spec/oci-config.js');
  const { makeBundle, writeBundle } = await import('./run/bundle.js');
  const bundle = join(runtime.paths.bundles, spec.id);
  makeBundle(bundle);
  writeBundle(
    bundle,
    spec,
    // With users of its own: own-users.int-spec.ts.
    buildOciConfig({ ...spec, users: 'host' }, { instance: runtime.instance, layerRoot: bundle }),
  );
  const child = spawn(runtime.binary.path, ['--root', runtime.paths.runtimeRoot, 'run', '-b', bundle, spec.id], {
    stdio: 'ignore',
  });
  setTimeout(() => child.kill('SIGKILL'), delayMs);
  return new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
}

describe('the checks before mounting', () => {
  const check = (change: Partial<ContainerSpec> = {}): ReturnType<typeof checkBeforeMount> => {
    const script = readFileSync(join(dirname(image), VERSION_FILES.mountScript));
    const mountScriptDigest: Digest = `sha256:${createHash('sha256').update(script).digest('hex')}`;
    return checkBeforeMount(specOf(change), {
      mountScriptDigest,
      dataRoot: join(scratch, 'data'),
      softwareRoot: join(scratch, 'sw'),
    });
  };

  it('let a sound container pass', () => {
    expect(check()).toEqual({ ok: true });
  });

  it.each(['dev', 'proc', 'etc', '.plinth/etc/upper'])('refuse an image whose /%s is a symlink', (point) => {
    const path = join(image, point);
    renameSync(path, `${path}.real`);
    try {
      symlinkSync('/tmp', path);
      expect(check()).toMatchObject({ ok: false, reason: 'mount-point-not-directory' });
    } finally {
      rmSync(path);
      renameSync(`${path}.real`, path);
    }
  });

  it('name what is missing', () => {
    expect(check({ imageRoot: join(scratch, 'nothing') })).toMatchObject({ reason: 'image-missing' });
    expect(check({ mountScript: { path: '/nothing', custom: false } })).toMatchObject({
      reason: 'mount-script-missing',
    });
    expect(check({ mountScript: { path: '/etc/passwd', custom: false } })).toMatchObject({
      reason: 'mount-script-mismatch',
    });
    expect(check({ dataPath: join(scratch, 'data/none') })).toMatchObject({ reason: 'data-volume-missing' });
    expect(check({ dataPath: '/etc' })).toMatchObject({ reason: 'data-volume-outside' });
    expect(check({ softwarePath: join(scratch, 'sw/none') })).toMatchObject({ reason: 'software-missing' });
    expect(check({ timezone: 'Mars/Olympus' })).toMatchObject({ reason: 'timezone-missing' });
    expect(existsSync(image)).toBe(true);
  });
});
