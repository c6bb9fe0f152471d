/**
 * `npm run bench:neighbours`: what four containers that misuse what they have do to a fifth. A fork bomb, a memory hog,
 * a disk filler and an inode filler, each with its limits; in the neighbour a client asks a server a thousand times.
 * Rounds alone, beside them, and beside four that only compute, with the same limits, alternate: so the effect of
 * misuse is separate from that of any load. First: what it costs to look at the limits of 1,000 containers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { cgroupLayout, enterPrivateMountNamespace, limitEvents } from '@plinth/container-runtime';
import { percentile, row, startSystem } from './system.js';

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

/** Each ends by itself: the command's own limit of time. */
const MISUSES: Readonly<Record<string, string>> = {
  'fork-bomb': 'while (1) { my $pid = fork; if (!defined $pid) { select undef, undef, undef, 0.001 } }',
  'memory-hog': 'while (1) { if ((fork // 0) == 0) { my @all; push @all, "x" x 1048576 while 1 } wait }',
  'disk-filler': 'while (1) { open my $f, ">", "/tmp/fill" or next; 1 while syswrite $f, "x" x 65536; close $f }',
  'inode-filler': 'my $i = 0; while (1) { open my $f, ">", "/tmp/" . $i++ or do { unlink glob "/tmp/*"; $i = 0 } }',
};

const COMPUTE = '1 while 1';

const CLI = resolve(import.meta.dirname, '../../apps/cli/dist/main.js');

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

const system = await startSystem();
try {
  const idle = { command: ['/bin/sleep', '1000000'], restart: { policy: 'never' } };
  const neighbour = await system.start({ ...idle, limits: { cpus: 1 } });
  const limits = { memoryBytes: 64 * 1024 ** 2, pids: 64, cpus: 0.25 };
  const misusers: { readonly name: string; readonly program: string }[] = [];
  for (const program of Object.values(MISUSES)) {
    const { name } = await system.start({ ...idle, limits });
    misusers.push({ name, program });
  }
  const measure = (): number[] =>
    system.plinth('exec', neighbour.name, '--', 'perl', '-e', REQUESTS).trim().split(' ').map(Number);

  const beside = async (programOf: (misuse: string) => string): Promise<number[]> => {
    const running: ChildProcess[] = misusers.map(({ name, program }) => {
      const argv = ['exec', name, '--', 'timeout', '-s', 'KILL', '12', 'perl', '-e', programOf(program)];
      return spawn(process.execPath, [CLI, ...argv], {
        env: { ...process.env, PLINTH_HOME: system.home },
        stdio: 'ignore',
      });
    });
    const ended = Promise.all(running.map((child) => once(child, 'exit')));
    // They have begun when their limits are reached.
    await new Promise((done) => setTimeout(done, 2_000));
    const times = measure();
    await ended;
    // What is left of a fork bomb ends with its container.
    for (const { name } of misusers) system.plinth('restart', name);
    return times;
  };
  const quiet: number[][] = [];
  const polite: number[][] = [];
  const busy: number[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    quiet.push(measure());
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
  console.log(system.plinth('ps'));
} finally {
  await system.close();
}
