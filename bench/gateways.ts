/**
 * `npm run bench:gateways`: 2,000 containers on one host reach their gateway. As many network namespaces, without a
 * runtime, get their interface, addresses, routes and rules; from each the gateway is pinged. What an attachment and a
 * ping cost with 10 and with 2,000 there, in turn: 10, 2,000, 10 again. Everything is in a network namespace of the
 * benchmark's own, and nothing of it is left.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { enterNewNetwork, GATEWAY4, HostNetwork, type RunningNetwork } from '@plinth/host-network';
import { percentile, row } from './system.js';

const FEW = 10;
const MANY = Number(process.env['PLINTH_BENCH_CONTAINERS'] ?? 2_000);
const PINGS = 20;
/** Of the few containers, which are pinged often: the least of many is not disturbed by other work. */
const ROUNDS = 30;
const PATIENCE_MS = 60_000;
/** asm/unistd.h: unshare, setns */
const CALLS = process.arch === 'arm64' ? [97, 268] : [272, 308];
const CLONE_NEWNET = 0x4000_0000;

/** Prints the pids of as many processes, each in a network of its own; they end with it. */
const NAMESPACES = `my ($count, $unshare) = @ARGV; $| = 1; my @all; $SIG{TERM} = sub { kill 'KILL', @all; exit };
for (1 .. $count) { my $pid = fork; if (!$pid) { syscall($unshare, ${CLONE_NEWNET}) == 0 or die $!; print "$$\\n"; sleep }
  push @all, $pid } sleep while 1`;

/** For each pid: microseconds of the fastest of some pings from its network, or nothing. */
const PING = `use Socket; use Time::HiRes 'time'; my ($setns, $times, $to, @pids) = @ARGV;
sub sum { my $all = 0; $all += $_ for unpack 'n*', $_[0]; $all = ($all >> 16) + ($all & 0xffff) while $all >> 16; ~$all & 0xffff }
for my $pid (@pids) { open(my $net, '<', "/proc/$pid/ns/net") or die $!; syscall($setns, fileno $net, 0) == 0 or die $!;
  socket(my $s, PF_INET, SOCK_RAW, 1) or die $!; setsockopt($s, SOL_SOCKET, SO_RCVTIMEO, pack('qq', 5, 0)); my $least;
  for my $n (1 .. $times) { my $p = pack 'CCnnn', 8, 0, 0, $pid & 0xffff, $n; substr($p, 2, 2) = pack 'n', sum($p);
    my $begin = time; send($s, $p, 0, sockaddr_in(0, inet_aton($to))) or last; my $got;
    while (recv $s, $got, 256, 0) { my ($type, $id, $seq) = (unpack 'x20CxxxnN', "$got\\0\\0")[0, 1, 2];
      ($type, $id, $seq) = unpack 'x20Cx3nn', $got; next unless $type == 0 && $id == ($pid & 0xffff) && $seq == $n;
      my $took = (time - $begin) * 1e6; $least = $took if !defined $least || $took < $least; last } }
  print defined $least ? sprintf("%.1f\\n", $least) : "-\\n" }`;

function container(number: number, pid: number): RunningNetwork {
  return {
    containerId: number.toString(16).padStart(32, '0'),
    ipv4: `10.64.${number >> 8}.${number & 0xff}`,
    ipv6: `fd00:706c:696e::a40:${number.toString(16)}`,
    tenant: 1 + (number % 50),
    ports: [{ protocol: 'tcp', hostPort: 10_000 + number, containerPort: 80 }],
    egress:
      number % 2 === 0 ? { policy: 'allow' } : { policy: 'list', to: [{ network: '192.0.2.0/24', ports: ['443'] }] },
    pid,
  };
}

/** Without an answer: NaN. */
function ping(of: readonly RunningNetwork[], times: number): number[] {
  const argv = ['-e', PING, String(CALLS[1]), String(times), GATEWAY4, ...of.map(({ pid }) => String(pid))];
  return execFileSync('perl', argv, { encoding: 'utf8' }).trim().split('\n').map(Number);
}

interface Cost {
  readonly ms: number;
  /** Of this process, user and system. */
  readonly cpuMs: number;
}

async function costs(work: () => unknown): Promise<Cost> {
  const [cpu, begin] = [process.cpuUsage(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - begin, cpuMs: (user + system) / 1000 };
}

const middle = (all: readonly Cost[], of: keyof Cost): number =>
  percentile(
    all.map((cost) => cost[of]),
    0.5,
  );

function attach(network: HostNetwork, one: RunningNetwork): Promise<Cost> {
  return costs(() => {
    const result = network.attach(one);
    if (!result.ok) throw new Error(result.message);
  });
}

/** What is on the host, but for addresses of namespaces that are ending. */
const kernel = (): string =>
  ['link', 'route', '-6 route', 'neigh', 'address show dev lo']
    .map((words) => execFileSync('ip', ['-o', ...words.split(' ')], { encoding: 'utf8' }))
    .concat(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }))
    .join('--\n');

async function namespaces(count: number): Promise<{ readonly keeper: ChildProcess; readonly pids: readonly number[] }> {
  const argv = ['--pdeathsig', 'TERM', '--', 'perl', '-e', NAMESPACES, String(count), String(CALLS[0])];
  const keeper = spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const pids: number[] = [];
  for await (const line of createInterface(keeper.stdout)) if (pids.push(Number(line)) === count) break;
  return { keeper, pids };
}

enterNewNetwork();
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const before = kernel();
const opened = HostNetwork.open({
  instance: 'be0d00000000',
  pool4: '10.64.0.0/10',
  pool6: 'fd00:706c:696e::/64',
  nowMs: Date.now(),
});
if (typeof opened === 'string') throw new Error(opened);
const { keeper, pids } = await namespaces(MANY);
try {
  const all = pids.map((pid, index) => container(index + 1, pid));
  const few = all.slice(0, FEW);
  const rest = all.slice(FEW);
  for (const one of few) await attach(opened, one);
  // Each of the few again and again, at 10, at 2,000 and at 10.
  const again = async (): Promise<{ attach: Cost[]; detach: Cost[]; ping: number[] }> => {
    const times = { attach: [] as Cost[], detach: [] as Cost[], ping: [] as number[] };
    for (let round = 0; round < ROUNDS; round += 1) {
      times.ping.push(...ping(few, PINGS));
      const one = few[round % FEW] as RunningNetwork;
      times.detach.push(await costs(() => opened.detach(one.containerId)));
      execFileSync('nsenter', ['-t', String(one.pid), '--net', 'ip', 'link', 'delete', 'eth0']);
      times.attach.push(await attach(opened, one));
    }
    return times;
  };
  const first = await again();
  const whole = await costs(async () => {
    for (const one of rest) await attach(opened, one);
  });
  const most = await again();
  const answers = ping(all, 2);
  const reached = answers.filter((us) => us > 0).length;
  const running = new Map(all.map((one) => [one.containerId, one.pid]));
  const look = await costs(() => {
    const { done, failed } = opened.check(all, (id) => running.get(id), Date.now() + 1_000);
    if (done.length + failed.length > 0) throw new Error([...done, ...failed].join('; '));
  });
  const compared = await costs(() => opened.check(all, (id) => running.get(id), Date.now() + 60_000));
  const guarded = await costs(() => opened.guardRules());
  const counted = await costs(() => opened.counters());
  const gone = await costs(() => Promise.all(rest.map((one) => opened.detach(one.containerId))));
  const last = await again();

  row(`${MANY} containers on one host`, 'of', '');
  row('reach their gateway', reached, MANY);
  row('one container', `${FEW} there`, `${MANY} there`, `${FEW} again`, 'ratio');
  const compare = (name: string, of: (times: Awaited<ReturnType<typeof again>>) => number): void => {
    const [a, b, c] = [of(first), of(most), of(last)];
    row(name, a, b, c, b / ((a + c) / 2));
  };
  compare('attach, p50 ms', ({ attach: times }) => middle(times, 'ms'));
  compare('attach, p50 ms of processor time', ({ attach: times }) => middle(times, 'cpuMs'));
  compare('detach, p50 ms', ({ detach: times }) => middle(times, 'ms'));
  compare('ping, least µs', ({ ping: times }) => Math.min(...times));
  compare('ping, p50 µs', ({ ping: times }) => percentile(times, 0.5));
  row('all together', 'ms', 'ms of processor time');
  const total = (name: string, { ms, cpuMs }: Cost): void => row(name, ms, cpuMs);
  total(`attach ${rest.length}`, whole);
  total(`detach ${rest.length}`, gone);
  total('the check every few seconds', look);
  total('the comparison every 30 s', compared);
  total('the look every 0.2 s', guarded);
  total('counters, for metrics', counted);
  if (reached !== MANY) process.exitCode = 1;
} finally {
  opened.removeAll();
  keeper.kill('SIGTERM');
  await once(keeper, 'exit');
}
const end = Date.now() + PATIENCE_MS;
while (kernel() !== before && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 200));
row('left on the host', kernel() === before ? 'nothing' : 'something');
if (kernel() !== before) {
  process.stderr.write(kernel());
  process.exitCode = 1;
}
opened.close();
