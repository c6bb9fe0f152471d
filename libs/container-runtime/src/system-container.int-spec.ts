/** systemd as the first process of a container, on the real thing. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { VERSION_FILES, type MountPlan } from '@plinth/contracts';
import { debianSystemRootfs, RUN_VARIABLE } from '@plinth/testkit';
import { cgroupProcesses } from './kernel/cgroups.js';
import { enterPrivateMountNamespace, isInPrivateMountNamespace } from './kernel/private-mount-namespace.js';
import { showUnifiedCgroups } from './kernel/testing/unified-cgroups.js';
import { OciRuntime } from './oci-runtime.js';
import { findExecutable } from './run/runtime-binary.js';
import type { ContainerSpec } from './spec/container-spec.js';
import { requiredDirectories } from './spec/mount-plan.js';

const MiB = 1024 ** 2;
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 16 * MiB, inodes: 4096, content: 'overlay', mode: 0o755 },
    { path: '/root', bytes: 5 * MiB, inodes: 1024, content: 'overlay', mode: 0o700 },
    { path: '/run', bytes: 64 * MiB, inodes: 16_384, content: 'empty', mode: 0o755 },
    { path: '/tmp', bytes: 16 * MiB, inodes: 1024, content: 'empty', mode: 0o1777 },
    { path: '/var', bytes: 64 * MiB, inodes: 8192, content: 'overlay', mode: 0o755 },
  ],
};

let scratch: string;
let image: string;
let runtime: OciRuntime;

let hideUnified: (() => void) | undefined;

async function open(release: 12 | 13, cgroups: 'this machine' | 'version 2'): Promise<void> {
  const rootfs = await debianSystemRootfs(release);
  if (!isInPrivateMountNamespace()) await enterPrivateMountNamespace({ reexecute: false });
  hideUnified = cgroups === 'version 2' ? showUnifiedCgroups() : undefined;
  scratch = mkdtempSync(join(dirname(rootfs), `system-${process.env[RUN_VARIABLE] ?? ''}-`));
  image = join(scratch, 'image', VERSION_FILES.root);
  mkdirSync(dirname(image));
  expect(spawnSync('cp', ['-al', rootfs, image]).status).toBe(0);
  for (const { path, mode } of requiredDirectories(PLAN)) mkdirSync(join(image, path), { recursive: true, mode });
  const path = findExecutable('crun', process.env['PATH'] ?? '');
  if (path === undefined) throw new Error('crun is not installed');
  runtime = new OciRuntime({
    stateDirectory: join(scratch, 'state'),
    binary: { name: 'crun', path, reason: 'under test' },
    // What the view of version 2 lacks is not a reason to try nothing on it.
    limits: 'preferred',
  });
}

afterEach(async () => {
  for (const { id } of runtime.list()) await runtime.delete(id);
});

function specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: randomBytes(16).toString('hex'),
    imageRoot: image,
    mountPlan: PLAN,
    mountScript: { path: '/nothing', custom: false },
    environment: {},
    timezone: 'UTC',
    hostname: 'system-1',
    command: ['/sbin/init'],
    limits: { memoryBytes: 256 * MiB, pids: 256, cpus: 1 },
    users: 'own',
    network: 'isolated',
    stopSignal: 'SIGRTMIN+3',
    ...change,
  };
}

async function sh(id: string, script: string): Promise<string> {
  let output = '';
  const onOutput = (chunk: Buffer): void => void (output += chunk.toString());
  const result = await runtime.exec(id, ['sh', '-c', script], { onStdout: onOutput, onStderr: onOutput });
  return `${output}${result.ok ? result.exitCode : result.reason}`;
}

/** What `systemctl is-system-running` says once the boot has ended. */
async function settled(id: string): Promise<string> {
  let state = '';
  for (const end = performance.now() + 60_000; performance.now() < end; await delay(50)) {
    state = await sh(id, 'systemctl is-system-running');
    if (!/^(initializing|starting|offline|unknown|Failed)/.test(state)) break;
  }
  return state;
}

describe.each([
  [12, 'this machine'],
  [13, 'this machine'],
  [12, 'version 2'],
  [13, 'version 2'],
] as const)('a container whose first process is systemd of Debian %i, on cgroups of %s', (release, cgroups) => {
  beforeAll(() => open(release, cgroups));
  afterAll(() => {
    runtime.close();
    runtime.removeDirectories();
    rmSync(scratch, { recursive: true });
    hideUnified?.();
  });

  it('comes up to running with its services, halts when it is asked to, and leaves nothing', async () => {
    // As the recipes of these images have it.
    const spec = specOf({ privileges: 'setuid' });
    const started = await runtime.start(spec, { inNetwork: () => undefined });
    if (!started.ok) throw new Error(started.message);
    expect(await settled(spec.id)).toBe('running\n0');
    expect(
      await sh(spec.id, 'systemctl --failed --plain --no-legend; systemctl is-active cron ssh systemd-logind'),
    ).toBe('active\nactive\nactive\n0');
    expect(
      await sh(spec.id, 'logger hello; journalctl --sync; journalctl -b --no-pager | grep -c " root.*: hello"'),
    ).toBe('1\n0');
    expect(await sh(spec.id, 'systemd-detect-virt --container; hostname')).toBe('container-other\nsystem-1\n0');
    await sh(spec.id, 'echo root:secret | chpasswd');
    const su = 'echo secret | setpriv --reuid daemon --regid daemon --clear-groups su -c "id -u" 2> /dev/null';
    expect(await sh(spec.id, su)).toBe('0\n0');
    process.kill(started.pid, signalOf('SIGRTMIN+3'));
    expect(await runtime.waitExit(spec.id, AbortSignal.timeout(20_000))).toMatchObject({ code: expect.any(Number) });
    const group = runtime.cgroupOf(spec.id);
    await runtime.delete(spec.id);
    expect(spawnSync('find', ['/sys/fs/cgroup', '-maxdepth', '3', '-name', group.slice(8)]).stdout.toString()).toBe('');
  });

  it('has the same machine id in every run, and no limit of its own to change', async () => {
    const spec = specOf();
    await runtime.start(spec);
    await settled(spec.id);
    const before = await sh(spec.id, 'cat /etc/machine-id');
    expect(before).toMatch(/^[0-9a-f]{32}\n0$/);
    expect(before).not.toContain(spec.id);
    // Its own group alone has limits that the host has set; version 2 shows files of limits in those below, too.
    const ofOthers = cgroups === 'version 2' ? '-maxdepth 1' : '';
    const writable = ['memory.*', '*.max', 'cgroup.max.*'].map((name) => `-name "${name}" -writable`).join(' -o ');
    expect(await sh(spec.id, `find /sys/fs/cgroup ${ofOthers} \\( ${writable} \\)`)).toBe('0');
    await runtime.delete(spec.id);
    await runtime.start(spec);
    expect(await sh(spec.id, 'cat /etc/machine-id')).toBe(before);
  });

  it.each([undefined, 'setuid'] as const)('has ping for every user (%s)', async (privileges) => {
    const spec = specOf({ privileges });
    await runtime.start(spec);
    let output = '';
    const ping = await runtime.exec(spec.id, ['ping', '-c', '1', '127.0.0.1'], {
      user: { uid: 1000, gid: 1000 },
      onStdout: (chunk) => void (output += chunk.toString()),
    });
    expect([ping, output]).toEqual([{ ok: true, exitCode: 0 }, expect.stringContaining('1 received, 0% packet loss')]);
  });

  it('is removed whole, whatever groups its root makes: deeper than a path is long, of bytes that are no text, of threads', async () => {
    const spec = specOf();
    await runtime.start(spec);
    await settled(spec.id);
    const made = await sh(
      spec.id,
      `cd $(dirname $(find /sys/fs/cgroup -name init.scope)) && perl -e '${HOSTILE_GROUPS}'`,
    );
    expect(made).toMatch(cgroups === 'version 2' ? /^(?:29|3[0-2]) threaded\n0$/ : /^40 \n0$/);
    expect(runtime.observe(spec.id)?.state).toBe('running');
    await runtime.delete(spec.id);
    expect(runtime.observe(spec.id)).toBeUndefined();
    expect(runtime.strayIds()).not.toContain(spec.id);
  });

  it('is killed whole, with every group that it has made', async () => {
    const spec = specOf();
    await runtime.start(spec);
    await settled(spec.id);
    await runtime.delete(spec.id);
    expect(cgroupProcesses(runtime.cgroupOf(spec.id))).toEqual([]);
    expect(runtime.observe(spec.id)).toBeUndefined();
  });
});

/** Prints how many groups it could make below each other; a process is in the deepest, another beside its threads. */
const HOSTILE_GROUPS = `my $made = 0;
sub join_group { my $pid = fork // die $!; return if $pid; open my $f, ">", "$_[0]/cgroup.procs" or die $!; print $f $$; close $f; sleep 1000; exit }
mkdir "a" and mkdir "a/t"; my $type = "";
if (open my $f, ">", "a/t/cgroup.type") { syswrite $f, "threaded" or die $!; close $f; open $f, "<", "a/t/cgroup.type"; $type = <$f>; chomp $type }
join_group("a");
while ($made < 40 and mkdir "\xff" . "x" x 200) { chdir "\xff" . "x" x 200 or die $!; $made++ }
join_group("."); print "$made $type\n"`;

/** signal(7): real-time signals begin at 34 with glibc. */
const signalOf = (name: 'SIGRTMIN+3'): number => 34 + Number(name.slice(-1));
