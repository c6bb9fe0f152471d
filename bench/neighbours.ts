/**
 * `npm run bench:neighbours`: what four containers that misuse what they have do to a fifth. A fork bomb, a memory hog,
 * a disk filler and an inode filler, each with its limits; in the neighbour a client asks a server 1,500 times.
 * Rounds alone, beside them, and beside four that only compute, with the same limits, alternate: so the effect of
 * misuse is separate from that of any load. First: what it costs to look at the limits of 1,000 containers.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  cgroupLayout,
  type ContainerSpec,
  enterPrivateMountNamespace,
  type LimitEvents,
  limitEvents,
  OciRuntime,
  requiredDirectories,
} from '@plinth/container-runtime';
import type { MountPlan } from '@plinth/contracts';
import { debianRootfs } from '@plinth/testkit';
import { percentile, row } from './system.js';

const ROUNDS = 4;
const LOOKED_AT = 1_000;
const LOOKS = 20;

/** A thousand and a half requests to a server in the same container, 1 ms apart; prints p50 and p99, µs. */
const REQUESTS = `use Socket; use Time::HiRes qw(time usleep);
socketpair(my $client, my $server, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
if (fork == 0) { close $client; while (sysread $server, my $line, 64) { syswrite $server, $line } exit }
my @times;
for (1 .. 1500) { my $begun = time; syswrite $client, "x" x 64; sysread $client, my $line, 64; push @times, time - $begun; usleep 1000 }
@times = sort { $a <=> $b } @times;
print int($times[750] * 1e6), " ", int($times[1485] * 1e6), "\\n";`;

/** Each goes on until it is killed. */
const MISUSES: Readonly<Record<string, string>> = {
  'fork-bomb': 'while (1) { my $pid = fork; if (!defined $pid) { select undef, undef, undef, 0.001 } }',
  'memory-hog': 'while (1) { if ((fork // 0) == 0) { my @all; push @all, "x" x 1048576 while 1 } wait }',
  'disk-filler': 'while (1) { open my $f, ">", "/tmp/fill" or next; 1 while syswrite $f, "x" x 65536; close $f }',
  'inode-filler': 'my $i = 0; while (1) { open my $f, ">", "/tmp/" . $i++ or do { unlink glob "/tmp/*"; $i = 0 } }',
};

const COMPUTE = '1 while 1';

const MiB = 1024 ** 2;
const SETTLE_MS = 2_000;
const PLAN: MountPlan = {
  schema: 1,
  places: [
    { path: '/etc', bytes: 5 * MiB, inodes: 1024, content: 'overlay', mode: 0o755 },
    { path: '/tmp', bytes: 16 * MiB, inodes: 4096, content: 'empty', mode: 0o1777 },
  ],
};

/** One look at every container of a host, ms. */
function costOfLooking(): number[] {
  const roots = cgroupLayout() === 'unified' ? [''] : ['/memory', '/pids'];
  const groups = Array.from({ length: LOOKED_AT }, (_, at) => `/plinth/bench-${process.pid}-${at}`);
  const directories = roots.flatMap((root) => groups.map((group) => `/sys/fs/cgroup${root}${group}`));
  try {
    for (const directory of directories) mkdirSync(directory, { recursive: true });
    return Array.from({ length: LOOKS }, () => {
      const begin = process.cpuUsage();
      for (const group of groups) limitEvents(group);
      const { user, system } = process.cpuUsage(begin);
      return (user + system) / 1_000;
    });
  } finally {
    for (const directory of directories) rmdirSync(directory);
  }
}

await enterPrivateMountNamespace();
const looks = costOfLooking();
row(`a look at ${LOOKED_AT} containers, of processor time`, 'p50 ms', 'p90 ms');
row('every 5 s', percentile(looks, 0.5), percentile(looks, 0.9));
console.log('');

/** Containers as an agent starts them, without the services of a stack. */
class Rig {
  private readonly directory: string;
  private readonly runtime: OciRuntime;
  private readonly image: string;
  private readonly specs: ContainerSpec[] = [];

  constructor(rootfs: string) {
    this.directory = mkdtempSync(join(dirname(rootfs), 'neighbours-'));
    this.image = join(this.directory, 'root');
    execFileSync('cp', ['-al', rootfs, this.image]);
    for (const { path, mode } of requiredDirectories(PLAN))
      mkdirSync(join(this.image, path), { recursive: true, mode });
    this.runtime = new OciRuntime({ stateDirectory: join(this.directory, 'state') });
  }

  async start(limits: ContainerSpec['limits']): Promise<string> {
    const spec: ContainerSpec = {
      id: randomBytes(16).toString('hex'),
      imageRoot: this.image,
      mountPlan: PLAN,
      mountScript: { path: '', custom: false },
      environment: {},
      timezone: 'UTC',
      hostname: 'bench',
      command: ['/bin/sleep', '1000000'],
      limits,
      users: 'own',
      network: 'isolated',
      stopSignal: 'SIGTERM',
    };
    this.specs.push(spec);
    await this.begin(spec);
    return spec.id;
  }

  /** What is left of a fork bomb ends with its container. */
  async restart(id: string): Promise<void> {
    const spec = this.specs.find((one) => one.id === id);
    await this.runtime.delete(id);
    if (spec) await this.begin(spec);
  }

  /** @returns standard output */
  async perl(id: string, program: string, signal?: AbortSignal): Promise<string> {
    let output = '';
    const onStdout = (chunk: Buffer): void => void (output += chunk.toString());
    await this.runtime.exec(id, ['perl', '-e', program], { onStdout, ...(signal && { signal }) });
    return output;
  }

  limitsReached(id: string): LimitEvents {
    return limitEvents(this.runtime.cgroupOf(id));
  }

  async close(): Promise<void> {
    for (const { id } of this.runtime.list()) await this.runtime.delete(id);
    this.runtime.close();
    this.runtime.removeDirectories();
    rmSync(this.directory, { recursive: true });
  }

  private async begin(spec: ContainerSpec): Promise<void> {
    const started = await this.runtime.start(spec);
    if (!started.ok) throw new Error(started.message);
  }
}

const rig = new Rig(await debianRootfs());
try {
  const neighbour = await rig.start({ memoryBytes: 64 * MiB, pids: 64, cpus: 1 });
  const misusers: { readonly name: string; readonly id: string; readonly program: string }[] = [];
  for (const [name, program] of Object.entries(MISUSES))
    misusers.push({ name, program, id: await rig.start({ memoryBytes: 64 * MiB, pids: 64, cpus: 0.25 }) });
  const measure = async (): Promise<number[]> => (await rig.perl(neighbour, REQUESTS)).trim().split(' ').map(Number);
  const beside = async (programOf: (misuse: string) => string): Promise<number[]> => {
    const end = new AbortController();
    const running = misusers.map(({ id, program }) => rig.perl(id, programOf(program), end.signal));
    // They have begun when their limits are reached.
    await delay(SETTLE_MS);
    const times = await measure();
    end.abort();
    await Promise.all(running);
    for (const { id } of misusers) await rig.restart(id);
    return times;
  };
  const quiet: number[][] = [];
  const polite: number[][] = [];
  const busy: number[][] = [];
  await measure();
  for (let round = 0; round < ROUNDS; round += 1) {
    quiet.push(await measure());
    polite.push(await beside(() => COMPUTE));
    busy.push(await beside((misuse) => misuse));
  }
  const column = (rounds: readonly number[][], at: number): number[] => rounds.map((round) => round[at] ?? Number.NaN);
  row('requests in the neighbour, µs', 'p50', 'p99');
  const loads = { alone: quiet, 'beside four that compute': polite, 'beside the four that misuse': busy };
  for (const [name, rounds] of Object.entries(loads))
    row(name, percentile(column(rounds, 0), 0.5), percentile(column(rounds, 1), 0.5));
  for (const [name, rounds] of [
    ['alone', quiet],
    ['beside computing', polite],
  ] as const) {
    const ratios = rounds.map((round, at) => (busy[at]?.[1] ?? Number.NaN) / (round[1] ?? Number.NaN));
    row(`p99 beside misuse, of that ${name}, p50 of the rounds (goal ≤ 1.5)`, percentile(ratios, 0.5));
    console.log(`ratios of the rounds: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
  }
  const { memoryKills, refusedForks } = rig.limitsReached(neighbour);
  row('limits that the neighbour reached (goal 0)', memoryKills + refusedForks);
} finally {
  await rig.close();
}
