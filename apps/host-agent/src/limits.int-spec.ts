/** Limits that hold, on a real kernel with a real btrfs; and the report when one is reached. Needs root, btrfs-progs. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ContainerReport, HostHeartbeat } from '@plinth/contracts';
import { hostHeartbeat } from '@plinth/contracts';
import { enableBtrfsQuota, openDiskLimits } from '@plinth/host-os';
import { type LoopFileSystem, loopFileSystem } from '@plinth/testkit';
import { VolumeLimits } from './adapters/volume-limits.js';
import { contentOf } from './testing/signed-image.js';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

const MIB = 1024 ** 2;
const ids: string[] = [];
let bench: AgentBench;
let disk: LoopFileSystem;
let agent: ChildProcess;

beforeAll(async () => {
  bench = await AgentBench.open();
  disk = loopFileSystem(bench.directory, 'btrfs', 400);
  execFileSync('mount', ['--bind', disk.path, join(bench.storage, 'volumes')]);
  await bench.installImage('v1');
  await bench.installImage('v2');
  enableBtrfsQuota(disk.path);
  bench.settings = { PLINTH_LIMIT_CHECK_SECONDS: '0.2', PLINTH_HEARTBEAT_SECONDS: '0.5' };
  agent = bench.startAgent();
});

afterAll(async () => {
  for (const id of ids) if (bench.alive(id).length > 0) await remove(id);
  execFileSync('umount', [join(bench.storage, 'volumes')]);
  disk.close();
  expect(leftovers(bench, ids)).toEqual([]);
  await bench.close();
});

type Config = Record<string, unknown> & { containerId: string };
const configs = new Map<string, Config>();

async function started(limits: object, overrides: Record<string, unknown> = {}): Promise<Config> {
  const config = bench.config({
    name: `shop-${ids.length}`,
    limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 30, ...limits },
    ...overrides,
  });
  ids.push(config.containerId);
  configs.set(config.containerId, config);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  return config;
}

async function remove(id: string): Promise<void> {
  await bench.publishConfig({
    ...configs.get(id),
    containerId: id,
    generation: 9,
    desired: 'removed',
    deleteData: true,
  });
  await bench.report(id, 'removed');
}

/** The next one: the agent answers queries. */
async function heartbeat(): Promise<HostHeartbeat> {
  const beats = bench.connection.subscribe(hostHeartbeat(bench.host), { max: 1 });
  for await (const beat of beats) return beat.json<HostHeartbeat>();
  throw new Error('no heartbeat');
}

const run = async (id: string, script: string): Promise<{ stdout: string; exitCode: number; problem: string }> => {
  const { stdout, stderr, exit } = await bench.exec({ containerId: id, command: ['/bin/sh', '-c', script] });
  const problem = exit.ok ? stderr.trim() : `${exit.reason}: ${exit.message}`;
  return { stdout: stdout.trim(), exitCode: exit.ok ? exit.data.exitCode : -1, problem };
};

/** The same in every hierarchy. */
function groupOf(id: string): string {
  const [group = ''] = /\/plinth-\S+/.exec(readFileSync(`/proc/${bench.alive(id)[0]}/cgroup`, 'utf8')) ?? [];
  return group;
}

const reached = (id: string): ContainerReport['reached'][] =>
  bench.reports
    .filter((report) => report.containerId === id && report.kind === 'limited')
    .map((report) => report.reached);

describe('memory', () => {
  it('of a process that takes too much: it is killed, the container goes on, one report says so', async () => {
    const { containerId } = await started({});
    expect((await run(containerId, 'head -c 200M /dev/zero | tail -c 190M | wc -c')).exitCode).not.toBe(-1);
    const report = await bench.report(containerId, 'limited');
    expect(report.reached).toMatchObject({ limit: 'memory', value: 64 * MIB });
    // A minute passes before the next one.
    await run(containerId, 'head -c 200M /dev/zero | tail -c 190M | wc -c');
    await run(containerId, 'head -c 200M /dev/zero | tail -c 190M | wc -c');
    expect((await run(containerId, 'echo here')).stdout).toBe('here');
    expect(reached(containerId)).toHaveLength(1);
    await remove(containerId);
  });

  it('counts what is in writable places', async () => {
    const { containerId } = await started({ memoryBytes: 24 * MIB });
    // /tmp and /var hold 20 MiB each.
    await run(containerId, 'head -c 18M /dev/zero > /tmp/a; head -c 18M /dev/zero > /var/b; cat /tmp/a /var/b | wc -c');
    expect((await bench.report(containerId, 'limited')).reached?.limit).toBe('memory');
    await remove(containerId);
  });

  it('of the first process: the report comes although its cgroup goes with it', async () => {
    const hog = ['/bin/sh', '-c', 'all=$(head -c 200M /dev/zero | tr "\\000" a); sleep infinity'];
    const { containerId } = await started({}, { command: hog, restart: { policy: 'never' } });
    const report = await bench.report(containerId, 'limited');
    expect(report.reached).toMatchObject({ limit: 'memory', count: 1 });
    expect(await bench.report(containerId, 'failed')).toMatchObject({ exitCode: 137 });
    await remove(containerId);
  });
});

describe('processes', () => {
  it('are refused above the limit, and counted', async () => {
    const { containerId } = await started({ pids: 20 });
    await run(containerId, 'for i in $(seq 60); do sleep 5 & done; true');
    const report = await bench.report(containerId, 'limited');
    expect(report.reached).toMatchObject({ limit: 'pids', value: 20 });
    expect(report.reached?.count).toBeGreaterThan(0);
    expect(bench.alive(containerId).length).toBeLessThanOrEqual(20);
    await remove(containerId);
  });
});

describe('open files', () => {
  it('are as many as the limit', async () => {
    const { containerId } = await started({ openFiles: 64 });
    expect((await run(containerId, 'ulimit -Sn; ulimit -Hn')).stdout).toBe('64\n64');
    const first = bench.alive(containerId)[0];
    expect(readFileSync(`/proc/${first}/limits`, 'utf8')).toMatch(/^Max open files +64 +64 /m);
    await remove(containerId);
  });
});

describe('a changed config', () => {
  it('is in effect at once where that is possible; what is not is reported, and comes with the next start', async () => {
    const before = { memoryBytes: 64 * MIB, cpus: 1, pids: 30, openFiles: 64, diskBytes: 16 * MIB };
    const config = await started(before);
    const { containerId } = config;
    const first = await bench.report(containerId, 'started');
    const limits = { memoryBytes: 96 * MIB, cpus: 2, pids: 41, openFiles: 128, diskBytes: 4 * MIB };
    await bench.publishConfig({ ...config, generation: 2, limits });
    const changed = await bench.report(containerId, 'started', { after: first.sequence });
    expect(changed).toMatchObject({ generation: 2, pid: first.pid, restarts: first.restarts });
    expect(changed.pending).toEqual([{ part: 'open-files', message: expect.stringContaining('next start') }]);
    expect(inForce(containerId)).toEqual({
      memory: 96 * MIB,
      pids: 41,
      cpus: 2,
      share: existsSync('/sys/fs/cgroup/cgroup.controllers') ? 200 : 2048,
    });
    expect((await run(containerId, 'head -c 12M /dev/urandom > /data/f; sync /data/f')).stdout).not.toBe('12');
    expect((await run(containerId, 'ulimit -n')).stdout).toBe('64');

    // 18 MiB of memory that can't be given back.
    await run(containerId, 'head -c 18M /dev/urandom > /tmp/kept');
    await bench.publishConfig({ ...config, generation: 3, limits: { ...limits, memoryBytes: 12 * MIB } });
    const less = await bench.report(containerId, 'started', { after: changed.sequence });
    expect(less.pending).toEqual([
      { part: 'memory', message: 'it uses more than that now; its next start has it' },
      { part: 'open-files', message: expect.any(String) },
    ]);
    expect((await run(containerId, 'echo here')).stdout).toBe('here');
    expect(bench.alive(containerId)).toContain(first.pid);

    await bench.publishConfig({ ...config, generation: 4, runGeneration: 4, limits });
    const again = await bench.report(containerId, 'started', { after: less.sequence });
    expect(again.pending).toBeUndefined();
    expect((await run(containerId, 'ulimit -n')).stdout).toBe('128');
    expect(inForce(containerId)).toEqual({
      memory: 96 * MIB,
      pids: 41,
      cpus: 2,
      share: existsSync('/sys/fs/cgroup/cgroup.controllers') ? 200 : 2048,
    });
    configs.set(containerId, config);
    await remove(containerId);
  });

  function inForce(id: string): { memory: number; pids: number; cpus: number; share: number } {
    const group = groupOf(id);
    const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers');
    const read = (controller: string, file: string): string =>
      readFileSync(`/sys/fs/cgroup${isUnified ? '' : `/${controller}`}${group}/${file}`, 'utf8').trim();
    const [quota, period] = isUnified
      ? read('cpu', 'cpu.max').split(' ')
      : [read('cpu', 'cpu.cfs_quota_us'), read('cpu', 'cpu.cfs_period_us')];
    return {
      memory: Number(read('memory', isUnified ? 'memory.max' : 'memory.limit_in_bytes')),
      pids: Number(read('pids', 'pids.max')),
      cpus: Number(quota) / Number(period),
      // Of one container beside others and beside the services of the host.
      share: Number(read('cpu', isUnified ? 'cpu.weight' : 'cpu.shares')),
    };
  }
});

describe('the disk', () => {
  const volumeOf = (config: Config): string => join(bench.storage, 'volumes', String(config['dataVolume']));
  const fill = (id: string, megabytes: number, file = 'fill'): Promise<{ stdout: string; exitCode: number }> =>
    run(
      id,
      `head -c ${megabytes}M /dev/urandom > /data/${file} 2>/tmp/why; sync /data/${file}; cat /tmp/why; rm /tmp/why`,
    );

  it('is in the heartbeat where it can be held', async () => {
    expect((await heartbeat()).diskLimits).toEqual(['sn-1']);
  });

  it('is full at its limit, reported once, and free again after files were removed', async () => {
    const config = await started({ diskBytes: 16 * MIB });
    const { containerId } = config;
    expect((await fill(containerId, 40)).stdout).toMatch(/quota exceeded/i);
    const size = statSync(join(volumeOf(config), 'data/fill')).size;
    expect(size).toBeGreaterThan(13 * MIB);
    expect(size).toBeLessThanOrEqual(16 * MIB);
    const report = await bench.report(containerId, 'limited');
    expect(report.reached).toMatchObject({ limit: 'disk', value: 16 * MIB, count: 1 });
    await run(containerId, 'rm /data/fill; sync -f /data');
    expect((await fill(containerId, 4)).stdout).toBe('');
    expect(reached(containerId)).toHaveLength(1);
    // btrfs counts what a volume holds when it commits, every 30 s.
    await run(containerId, 'sync -f /data');

    // A limit below what it holds: nothing is lost, the report says what does not fit, and it counts as reached.
    const { sequence: after } = await bench.report(containerId, 'started');
    const limits = { ...(config['limits'] as object), diskBytes: 2 * MIB };
    await bench.publishConfig({ ...config, generation: 2, limits });
    const { pending } = await bench.report(containerId, 'started', { after });
    const message = expect.stringMatching(/holds 4\.\d MiB, more than 2\.0 MiB: nothing can be written/);
    expect(pending).toEqual([{ part: 'disk', message }]);
    expect((await run(containerId, 'touch /data/more 2>&1')).stdout).toMatch(/quota exceeded/i);
    expect(statSync(join(volumeOf(config), 'data/fill')).size).toBe(4 * MIB);
    await run(containerId, 'rm /data/fill; sync -f /data');
    expect((await fill(containerId, 1, 'more')).stdout).toBe('');
    configs.set(containerId, { ...config, generation: 2 });
    await remove(containerId);
    expect(existsSync(volumeOf(config))).toBe(false);
  });

  it('is held against many small files, and a neighbour is not touched', async () => {
    const filler = await started({ diskBytes: 4 * MIB });
    const neighbour = await started({ diskBytes: 16 * MIB });
    await run(
      filler.containerId,
      `perl -e 'mkdir "/data/d"; for (1 .. 200000) { open my $f, ">", "/data/d/$_" or last }'`,
    );
    expect((await run(filler.containerId, 'echo more > /data/more && cat /data/more')).stdout).not.toBe('more');
    expect((await fill(neighbour.containerId, 8)).stdout).toBe('');
    expect(reached(neighbour.containerId)).toEqual([]);
    await remove(filler.containerId);
    await remove(neighbour.containerId);
  });

  it('is held after a restart of the agent, and on the copy of the data that is put back after an update', async () => {
    const config = await started({ diskBytes: 16 * MIB });
    const { containerId } = config;
    expect((await fill(containerId, 4, 'kept')).stdout).toBe('');
    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    await heartbeat();
    await fill(containerId, 40);
    expect((await bench.report(containerId, 'limited')).reached?.limit).toBe('disk');
    await run(containerId, 'rm /data/fill; sync -f /data');
    const update = {
      updateId: 'a'.repeat(32),
      knownGood: { image: 'debian-12@v1', contentDigest: contentOf('v1'), runGeneration: 1 },
      stableSeconds: 1,
      soakSeconds: 0,
      snapshotData: true,
    };
    const next = { image: 'debian-12@v2', contentDigest: contentOf('v2'), update };
    const command = ['/bin/sh', '-c', '[ "$PLINTH_IMAGE" = debian-12@v1 ] || exit 3; exec sleep infinity'];
    await bench.publishConfig({ ...config, ...next, command, generation: 2, runGeneration: 2 });
    await bench.report(containerId, 'reverted');
    expect((await run(containerId, 'ls /data')).stdout.split('\n')).toEqual(expect.arrayContaining(['kept']));
    expect((await fill(containerId, 40)).stdout).toMatch(/quota exceeded/i);
    await remove(containerId);
  });

  it('leaves no quota group behind', async () => {
    const limits = openDiskLimits(disk.path);
    if (typeof limits === 'string') throw new Error(limits);
    execFileSync('btrfs', ['subvolume', 'sync', disk.path]);
    const groups = (): string[] => {
      limits.sweep();
      return (
        execFileSync('btrfs', ['qgroup', 'show', '--raw', disk.path], { encoding: 'utf8' }).match(/^0\/\d{3,}/gm) ?? []
      );
    };
    await waitFor(() => {
      execFileSync('btrfs', ['filesystem', 'sync', disk.path]);
      return groups().length === 0 ? true : undefined;
    }, 'quota groups to go');
    expect(readdirSync(join(bench.storage, 'volumes'))).toEqual([]);
  });
});

describe('input and output', () => {
  it('are held to their maxima where the heartbeat says so', async () => {
    expect((await heartbeat()).ioLimits).toContain('maxima');
    const rate = MIB;
    const { containerId } = await started({ diskBytes: 64 * MIB, io: { writeBytesPerSecond: rate } });
    const begun = performance.now();
    await run(containerId, 'timeout 4 dd if=/dev/zero of=/data/direct bs=64k count=900 oflag=direct 2>/dev/null; sync');
    const seconds = (performance.now() - begun) / 1000;
    const bytes = Number((await run(containerId, 'stat -c %s /data/direct')).stdout);
    expect(bytes).toBeGreaterThan(0);
    // A machine that is slow makes it less, never more; without a limit all 56 MiB are written.
    expect(bytes).toBeLessThan(3 * rate * seconds);
    await remove(containerId);
  });

  it('are refused where the heartbeat says that they can not be held', async () => {
    const { ioLimits = [], missingLimits } = await heartbeat();
    const isWeighed = ioLimits.includes('weight');
    expect(missingLimits).toEqual(isWeighed ? [] : ['io-weight']);
    const config = bench.config({ limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 50, io: { weight: 500 } } });
    await bench.publishConfig(config);
    const report = await bench.report(config.containerId, isWeighed ? 'started' : 'failed');
    if (!isWeighed)
      expect(report).toMatchObject({
        reason: 'limit-not-held',
        message: expect.stringMatching(/on sn-1 to io-weight: plinth set NAME --io-max none/),
      });
    configs.set(config.containerId, config);
    await remove(config.containerId);
  });
});

describe('a neighbour of containers that misuse what they have', () => {
  const REQUESTS = `use Socket; socketpair(my $client, my $server, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
defined(my $pid = fork) or die "fork: $!";
if ($pid == 0) { close $client; while (sysread $server, my $line, 64) { syswrite $server, $line } exit }
my $answered = 0;
for (1 .. 2000) { syswrite $client, "x" x 64; $answered++ if sysread $client, my $line, 64; select undef, undef, undef, 0.001 }
open my $f, ">", "/data/kept" or die $!; print $f "kept"; close $f or die $!; print $answered;`;
  const MISUSES = {
    pids: 'for (1 .. 2000) { my $pid = fork; if (!defined $pid) { select undef, undef, undef, 0.002 } elsif (!$pid) { sleep 5 } }',
    memory: 'for (1 .. 20) { if ((fork // 0) == 0) { my @all; push @all, "x" x 1048576 while 1 } wait }',
    disk: 'open my $f, ">", "/data/fill"; 1 while syswrite $f, "x" x 65536; system "sync", "/data/fill"',
    inodes: 'for (1 .. 200000) { open my $f, ">", "/tmp/$_" or last }',
  };

  it('gets every answer and reaches no limit; those that misuse it do', async () => {
    const misusers = new Map<string, string>();
    for (const what of Object.keys(MISUSES))
      misusers.set(what, (await started({ diskBytes: 8 * MIB, pids: 30, cpus: 0.5 })).containerId);
    const neighbour = await started({ diskBytes: 8 * MIB });
    const misuse = Object.entries(MISUSES).map(([what, program]) =>
      run(misusers.get(what) ?? '', `perl -e '${program}'`),
    );
    expect((await run(neighbour.containerId, `perl -e '${REQUESTS}'`)).stdout).toBe('2000');
    await Promise.all(misuse);
    for (const what of ['pids', 'memory', 'disk'])
      expect((await bench.report(misusers.get(what) ?? '', 'limited')).reached?.limit).toBe(what);
    expect(reached(neighbour.containerId)).toEqual([]);
    expect((await run(neighbour.containerId, 'cat /data/kept')).stdout).toBe('kept');
    for (const id of [...misusers.values(), neighbour.containerId]) await remove(id);
  });
});

describe('a neighbour on a host that is busy itself', () => {
  /** Prints the p99 of requests to a server in the same container, µs. */
  const REQUESTS = `use Socket; use Time::HiRes qw(time usleep);
socketpair(my $client, my $server, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
defined(my $pid = fork) or die "fork: $!";
if ($pid == 0) { close $client; while (sysread $server, my $line, 64) { syswrite $server, $line } exit }
my @times;
for (1 .. 400) { my $begun = time; syswrite $client, "x" x 64; sysread $client, my $line, 64; push @times, time - $begun; usleep 1000 }
@times = sort { $a <=> $b } @times; print int($times[396] * 1e6);`;
  /** Each goes on until its container is removed. */
  const MISUSES = [
    'while (1) { my $pid = fork; defined $pid or select undef, undef, undef, 0.001 }',
    'while (1) { if ((fork // 0) == 0) { my @all; push @all, "x" x 1048576 while 1 } wait }',
    'while (1) { open my $f, ">", "/data/fill"; 1 while syswrite $f, "x" x 65536; close $f }',
    'my $i = 0; while (1) { open my $f, ">", "/tmp/" . $i++ or do { unlink glob "/tmp/*"; $i = 0 } }',
  ];
  const GOAL = 1.5;
  const ROUNDS = { least: 5, most: 15 };

  it(`has a p99 beside four misusers of at most ${GOAL} times that without them`, async () => {
    const neighbour = await started({ diskBytes: 8 * MIB });
    const misusers = await Promise.all(MISUSES.map(() => started({ diskBytes: 8 * MIB, cpus: 0.25 })));
    const p99 = async (): Promise<number> => {
      const answer = await run(neighbour.containerId, `perl -e '${REQUESTS}'`);
      expect(answer).toEqual({ stdout: expect.stringMatching(/^[1-9]/), exitCode: 0, problem: '' });
      return Number(answer.stdout);
    };
    // They are why it matters what a container counts beside the services of the host.
    const services = Array.from({ length: 4 * availableParallelism() }, () => spawn('perl', ['-e', '1 while 1']));
    const misuse = misusers.map(({ containerId }, at) => run(containerId, `perl -e '${MISUSES[at]}'`));
    const ratios: number[] = [];
    const median = (): number => ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? Number.NaN;
    try {
      for (const { containerId } of misusers)
        await waitFor(() => (bench.alive(containerId).length > 1 ? true : undefined), 'the misuse');
      while (ratios.length < ROUNDS.least || (median() > GOAL && ratios.length < ROUNDS.most)) {
        await Promise.all(misusers.map(({ containerId }) => setFrozen(containerId, true)));
        const alone = await p99();
        await Promise.all(misusers.map(({ containerId }) => setFrozen(containerId, false)));
        ratios.push((await p99()) / alone);
      }
    } finally {
      for (const service of services) service.kill('SIGKILL');
      for (const { containerId } of [...misusers, neighbour]) await remove(containerId);
      await Promise.all(misuse);
    }
    console.info(`p99 beside misuse, of that alone: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
    expect(median()).toBeLessThanOrEqual(GOAL);
  });

  /** All processes of a container at once, also those that are being forked. */
  async function setFrozen(id: string, frozen: boolean): Promise<void> {
    const group = groupOf(id);
    const [file, value, state, settled] = existsSync('/sys/fs/cgroup/cgroup.controllers')
      ? [`${group}/cgroup.freeze`, frozen ? '1' : '0', `${group}/cgroup.events`, `frozen ${frozen ? 1 : 0}`]
      : [`/freezer${group}/freezer.state`, frozen ? 'FROZEN' : 'THAWED', `/freezer${group}/freezer.state`, ''];
    writeFileSync(`/sys/fs/cgroup${file}`, value);
    await waitFor(
      () => (readFileSync(`/sys/fs/cgroup${state}`, 'utf8').includes(settled || value) ? true : undefined),
      'the misusers to pause or go on',
    );
  }
});

describe('storage that can not hold a limit', () => {
  it('refuses a volume with one, and says why', () => {
    const storage = join(bench.directory, 'other');
    mkdirSync(join(storage, 'volumes/data'), { recursive: true });
    const limits = new VolumeLimits(new Map([['sn-2', storage]]));
    expect(limits.nodes).toEqual([]);
    expect(limits.hold('sn-2', join(storage, 'volumes/data'), MIB)).toMatch(
      /sn-2 can not hold .*: (?:ext4|xfs|its file)/,
    );
    expect(limits.hold('sn-3', join(storage, 'volumes/data'), MIB)).toMatch(/is not mounted on this host/);
    expect(limits.use('sn-2', join(storage, 'volumes/data'), MIB)).toBeUndefined();
  });
});
