/**
 * `npm run bench:neighbours`: what four containers that misuse what they have do to a fifth. A fork bomb, a memory hog,
 * a disk filler and an inode filler, each with its limits; in the neighbour a client asks a server 1,500 times.
 * Rounds alternate: alone, beside each of them, beside all four, and beside four that only compute with the same
 * limits, so the effect of misuse is separate from that of any load. Then the same with processors that are promised
 * twice (`overcommitted`). First: what it costs to look at the limits of 1,000 containers.
 * PLINTH_BENCH_HOST_PROCESSES of the host compute meanwhile: what a container counts beside them shows only then.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
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

const ROUNDS = Number(process.env['PLINTH_BENCH_ROUNDS'] ?? 5);
const HOST_PROCESSES = Number(process.env['PLINTH_BENCH_HOST_PROCESSES'] ?? 0);
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
  const groups = Array.from({ length: LOOKED_AT }, (_, at) => `/plinth-bench-${process.pid}-${at}`);
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

  remove(id: string): Promise<void> {
    return this.runtime.delete(id);
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

/** What runs beside the neighbour: programs by misuser, in their order. */
const LOADS: Readonly<Record<string, readonly string[]>> = {
  alone: [],
  ...Object.fromEntries(Object.entries(MISUSES).map(([name, program]) => [`beside a ${name}`, [program]])),
  'beside all four': Object.values(MISUSES),
  'beside four that compute': Object.values(MISUSES).map(() => COMPUTE),
};

/** p50 and p99 of each round, µs, by load. */
type Seen = ReadonlyMap<string, readonly (readonly number[])[]>;

async function compare(rig: Rig, cpus: { readonly neighbour: number; readonly misuser: number }): Promise<Seen> {
  const limits = { memoryBytes: 64 * MiB, pids: 64 };
  const neighbour = await rig.start({ ...limits, cpus: cpus.neighbour });
  const misusers: string[] = [];
  for (let count = 0; count < Object.keys(MISUSES).length; count += 1)
    misusers.push(await rig.start({ ...limits, cpus: cpus.misuser }));
  const measure = async (): Promise<number[]> => (await rig.perl(neighbour, REQUESTS)).trim().split(' ').map(Number);
  const beside = async (programs: readonly string[]): Promise<number[]> => {
    const end = new AbortController();
    const running = programs.map((program, at) => rig.perl(misusers[at] ?? '', program, end.signal));
    // They have begun when their limits are reached.
    if (programs.length > 0) await delay(SETTLE_MS);
    const times = await measure();
    end.abort();
    await Promise.all(running);
    for (const id of misusers.slice(0, programs.length)) await rig.restart(id);
    return times;
  };
  const seen = new Map<string, number[][]>(Object.keys(LOADS).map((name) => [name, []]));
  await measure();
  for (let round = 0; round < ROUNDS; round += 1)
    for (const [name, programs] of Object.entries(LOADS)) seen.get(name)?.push(await beside(programs));
  const { memoryKills, refusedForks } = rig.limitsReached(neighbour);
  row('limits that the neighbour reached (goal 0)', memoryKills + refusedForks);
  for (const id of [neighbour, ...misusers]) await rig.remove(id);
  return seen;
}

function show(title: string, seen: Seen): void {
  const column = (rounds: readonly (readonly number[])[], at: number): number[] =>
    rounds.map((round) => round[at] ?? Number.NaN);
  const alone = column(seen.get('alone') ?? [], 1);
  row(title, 'p50', 'p99', 'p99, of that alone (goal ≤ 1.5)');
  for (const [name, rounds] of seen) {
    const ratios = column(rounds, 1).map((p99, at) => p99 / (alone[at] ?? Number.NaN));
    row(name, percentile(column(rounds, 0), 0.5), percentile(column(rounds, 1), 0.5), percentile(ratios, 0.5));
    console.log(`  ratios of the rounds: ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
  }
  console.log('');
}

const services = Array.from({ length: HOST_PROCESSES }, () => spawn('perl', ['-e', COMPUTE]));
const rig = new Rig(await debianRootfs());
try {
  const cores = availableParallelism();
  const fitting = { neighbour: cores / 2, misuser: cores / 8 };
  show('requests in the neighbour, µs', await compare(rig, fitting));
  const overcommitted = { neighbour: cores / 2, misuser: (3 * cores) / 8 };
  show('overcommitted: processors are promised twice', await compare(rig, overcommitted));
} finally {
  for (const service of services) service.kill('SIGKILL');
  await rig.close();
}
