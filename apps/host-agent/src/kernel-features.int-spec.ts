/** A kernel that lacks what containers need: what the checks find, and what a whole agent does about it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type HostHeartbeat, hostHeartbeat } from '@plinth/contracts';
import { enterNewNetwork } from '@plinth/host-network';
import { type RefusedCall, withoutCalls } from '@plinth/testkit';
import { AgentBench, waitFor } from './testing/agent-bench.js';

/** sched.h, linux/prctl.h, sys/socket.h, linux/netlink.h; flags of the mount of an overlay that is tried. */
const NEW = { user: 0x1000_0000, pid: 0x2000_0000, ipc: 0x0800_0000, uts: 0x0400_0000, cgroup: 0x0200_0000 };
const NEW_NETWORK = 0x4000_0000;
const OVERLAY_FLAGS = 6;
const namespace = (flag: number, error: RefusedCall['error']): RefusedCall => ({
  call: 'clone',
  error,
  when: [{ at: 0, has: flag }],
});
const OVERLAY: RefusedCall = { call: 'mount', error: 'ENODEV', when: [{ at: 3, is: OVERLAY_FLAGS }] };
const FILTERS: RefusedCall = { call: 'prctl', error: 'EINVAL', when: [{ at: 0, is: 22 }] };
const NETFILTER: RefusedCall = {
  call: 'socket',
  error: 'EPROTONOSUPPORT',
  when: [
    { at: 0, is: 16 },
    { at: 2, is: 12 },
  ],
};

/** Prints what the checks of agents and `doctor` find. */
const CHECKS = `
const { enterPrivateMountNamespace, kernelFeatures, missingFeatures, tryOwnUsers } = await import('@plinth/container-runtime');
const { bandwidthProblem, networkProblem, tunnelProblem } = await import('@plinth/host-network');
await enterPrivateMountNamespace({ reexecute: false });
const users = tryOwnUsers({ name: 'crun' }, [process.argv[1]]);
const [network, tunnel, bandwidth] = [networkProblem(), tunnelProblem(), bandwidthProblem()];
console.log(JSON.stringify({ every: missingFeatures(kernelFeatures()), users, network, tunnel, bandwidth }));`;

interface Found {
  readonly every: readonly string[];
  readonly users?: string;
  readonly network?: string;
  readonly tunnel?: string;
  readonly bandwidth?: string;
}

describe('the checks of a kernel', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'plinth-features-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const check = (...refused: RefusedCall[]): Found => checked(...withoutCalls(refused));
  function checked(file: string, ...argv: string[]): Found {
    const program = [process.execPath, '--input-type=module', '-e', CHECKS, directory];
    const cwd = resolve(import.meta.dirname, '../../..');
    return JSON.parse(execFileSync(file, [...argv, ...program], { cwd, encoding: 'utf8' })) as Found;
  }

  it('find nothing where nothing is missing', () => expect(check()).toEqual({ every: [] }));

  it('name each feature that every container needs, and what to do', () => {
    const { every } = check(
      FILTERS,
      OVERLAY,
      ...[NEW.pid, NEW.ipc, NEW.uts].map((flag) => namespace(flag, 'EINVAL')),
      ...[NEW.cgroup, NEW_NETWORK].map((flag) => namespace(flag, 'ENOSPC')),
    );
    expect(every).toEqual([
      expect.stringMatching(/^every container needs system call filters.*EINVAL.*CONFIG_SECCOMP_FILTER/),
      expect.stringMatching(/^every container needs pid namespaces.*EINVAL.*CONFIG_PID_NS/),
      expect.stringMatching(/^every container needs ipc namespaces.*EINVAL.*CONFIG_IPC_NS/),
      expect.stringMatching(/^every container needs uts namespaces.*EINVAL.*CONFIG_UTS_NS/),
      expect.stringMatching(/^every container needs cgroup namespaces.*ENOSPC.*user\.max_cgroup_namespaces/),
      expect.stringMatching(/^every container needs network namespaces.*ENOSPC.*user\.max_net_namespaces/),
      expect.stringMatching(/^every container needs overlayfs.*ENODEV.*CONFIG_OVERLAY_FS/),
    ]);
  });

  it('name a hierarchy of cgroups that runtimes look for in vain', () => {
    if (!existsSync('/sys/fs/cgroup/cpuset/cgroup.procs')) return;
    const view = ['--mount', '--propagation', 'slave', 'sh', '-c', 'umount /sys/fs/cgroup/cpuset && exec "$@"', 'view'];
    expect(checked('unshare', ...view).every).toEqual([
      expect.stringMatching(/^every container needs cgroups.*cpuset/),
    ]);
  });

  it.each<[RefusedCall, RegExp]>([
    [namespace(NEW.user, 'ENOSPC'), /ENOSPC: clone.*raise user\.max_user_namespaces/],
    [namespace(NEW.user, 'EINVAL'), /EINVAL: clone.*CONFIG_USER_NS/],
    [namespace(NEW.user, 'EPERM'), /EPERM: clone.*CAP_SYS_ADMIN/],
    [{ call: 'open_tree', error: 'ENOSYS' }, /ENOSYS: open_tree.*Linux 5\.2/],
    [{ call: 'mount_setattr', error: 'ENOSYS' }, /ENOSYS: mount_setattr.*Linux 5\.12/],
    [{ call: 'mount_setattr', error: 'EINVAL' }, /EINVAL: mount_setattr.*file system has no idmapped mounts/],
    [{ call: 'move_mount', error: 'EPERM' }, /EPERM: move_mount.*permits them/],
    [{ call: 'lsetxattr', error: 'EOPNOTSUPP' }, /lsetxattr.*Linux 6\.6/],
  ])('say why containers can not have users of their own: %j', (refused, why) => {
    expect(check(refused)).toEqual({ every: [], users: expect.stringMatching(why) });
  });

  it('say why containers can not have a network of their own', () => {
    expect(check(NETFILTER)).toMatchObject({ every: [], network: expect.any(String), tunnel: expect.any(String) });
  });
});

describe('an agent', () => {
  let bench: AgentBench;
  beforeAll(async () => {
    enterNewNetwork();
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    bench = await AgentBench.open();
    await bench.installImage('v1');
  });
  afterAll(async () => {
    bench.view = [];
    await bench.close();
  });

  it.each<[string, readonly string[], RegExp]>([
    ['overlayfs', withoutCalls([OVERLAY]), /every container needs overlayfs.*modprobe overlay/],
    [
      'mount namespaces',
      withoutCalls([{ call: 'unshare', error: 'EPERM', when: [{ at: 0, has: 0x2_0000 }] }]),
      /every container needs mount namespaces.*CAP_SYS_ADMIN/,
    ],
  ])('does not start without %s, which every container needs', async (_, view, why) => {
    bench.view = view;
    const agent = bench.startAgent();
    expect(await new Promise((done) => agent.once('exit', done))).toBe(78);
    if (process.env['PLINTH_TEST_LOG'] === undefined)
      expect(readFileSync(join(bench.directory, 'agent.log'), 'utf8')).toMatch(why);
  });

  it('starts without what some need, reports that, and refuses those alone', async () => {
    bench.view = withoutCalls([NETFILTER]);
    const beats = bench.connection.subscribe(hostHeartbeat(bench.host), { max: 1 });
    const agent = bench.startAgent();
    for await (const beat of beats) expect(beat.json<HostHeartbeat>().network).toBeUndefined();
    const address = { ipv4: '10.64.1.1', ipv6: 'fd00:706c:696e::a40:101' };
    const refused = bench.config({ network: 'container', address, tenant: 'tenant-1', tenantNumber: 1 });
    const isolated = bench.config();
    for (const config of [refused, isolated]) await bench.publishConfig(config);
    expect(await bench.report(refused.containerId, 'failed')).toMatchObject({ reason: 'network-unavailable' });
    const { pid } = await bench.report(isolated.containerId, 'started');
    // Confined as ever, from its first instruction on: with its own filter besides that of the test.
    const confined = /^NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2$/m;
    await waitFor(() => confined.test(readFileSync(`/proc/${pid}/status`, 'utf8')) || undefined, 'its filter');
    for (const config of [refused, isolated]) {
      await bench.publishConfig({ ...config, generation: 2, desired: 'removed' });
      await bench.report(config.containerId, 'removed');
    }
    await bench.stopAgent(agent);
  });
});
