/**
 * `npm run bench:tunnel`: what containers of other hosts cost. One container more, with 10 and 10,000 known; a packet's
 * round trip between two hosts, with 10 and 10,000 known, through the tunnel and over routes. The hosts are network
 * namespaces of the benchmark's own with a pair of interfaces between them.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { HostNetwork, inNetworkOf, type RemoteContainer, type TunnelOptions } from '@plinth/host-network';
import { percentile, row } from './system.js';

const FEW = 10;
const MOST = 10_000;
const PARTS = 64;
const ROUNDS = 50;
const TRIPS = 300;
const TRIP_ROUNDS = 3;
const TRIP_PARTS = 6;
const POOLS = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };
const children = new Set<ChildProcess>();

/** The pid of a process that has printed a line. */
async function start(...argv: string[]): Promise<number> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  await once(child.stdout ?? child, 'data');
  return child.pid ?? 0;
}

const namespace = (): Promise<number> => start('unshare', '--net', 'sh', '-c', 'echo ready; exec sleep infinity');
const inside = (pid: number, ...argv: string[]): string =>
  execFileSync('nsenter', ['-t', String(pid), '--net', ...argv], { encoding: 'utf8' });

const ipv4 = (number: number): string => `10.64.${number >> 8}.${number & 0xff}`;
const ipv6 = (number: number): string => `fd00:706c:696e::a40:${number.toString(16)}`;

function timed(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

interface Host {
  readonly pid: number;
  readonly container: number;
  readonly network: HostNetwork;
  readonly address: string;
}

async function linkedHosts(mode: TunnelOptions['mode']): Promise<readonly [Host, Host]> {
  const pids = [await namespace(), await namespace()] as const;
  inside(pids[0], 'ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', String(pids[1]));
  const hosts: Host[] = [];
  for (const [index, pid] of pids.entries()) {
    const address = `fd00:1::${index + 1}`;
    inside(pid, 'ip', 'link', 'set', 'lo', 'up');
    inside(pid, 'ip', '-6', 'address', 'add', `${address}/64`, 'dev', 'up0', 'nodad');
    inside(pid, 'ip', 'link', 'set', 'up0', 'up');
    const container = await namespace();
    const network = inNetworkOf(pid, () => {
      const remote = { mode, address, port: 8_473 };
      const opened = HostNetwork.open({ instance: `be${index}c00000000`, ...POOLS, nowMs: Date.now(), remote });
      if (typeof opened === 'string') throw new Error(opened);
      const number = 50_000 + index;
      const result = opened.attach({
        containerId: String(index).padStart(32, '0'),
        ipv4: ipv4(number),
        ipv6: ipv6(number),
        tenant: 1,
        ports: [],
        egress: { policy: 'allow' },
        pid: container,
      });
      if (!result.ok) throw new Error(result.message);
      return opened;
    });
    hosts.push({ pid, container, network, address });
  }
  return hosts as unknown as [Host, Host];
}

/** Numbers of containers, in the parts that they are published in. */
function know({ pid, network }: Host, hostAddress: string, numbers: readonly number[]): void {
  const parts = new Map<number, RemoteContainer[]>();
  for (const number of numbers) {
    const part = parts.get(number % PARTS) ?? [];
    parts.set(number % PARTS, [...part, { ipv4: ipv4(number), ipv6: ipv6(number), tenant: 1, hostAddress }]);
  }
  inNetworkOf(pid, () => {
    for (let part = 0; part < PARTS; part += 1) network.setRemote(`1-${part}`, parts.get(part) ?? []);
  });
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Of one change, as it arrives: a part with one container more, and without it. */
function measureChange({ pid, network }: Host, hostAddress: string, known: number): readonly number[] {
  const part = range(known)
    .filter((number) => number % PARTS === 7)
    .map((number) => ({ ipv4: ipv4(number), ipv6: ipv6(number), tenant: 1, hostAddress }));
  const more = { ipv4: ipv4(40_007), ipv6: ipv6(40_007), tenant: 1, hostAddress };
  return inNetworkOf(pid, () =>
    range(ROUNDS).flatMap(() => [
      timed(() => network.setRemote('1-7', [...part, more])),
      timed(() => network.setRemote('1-7', part)),
    ]),
  );
}

const ECHO = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 7, Proto => 'udp') or die $!;
$| = 1; print "ready\\n"; my $b; while (my $from = recv($s, $b, 64, 0)) { send($s, $b, 0, $from) }`;
const ASK = `use IO::Socket::INET; use Time::HiRes 'time'; my ($to, $count) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $to, PeerPort => 7, Proto => 'udp') or die $!;
my $b; my $begin = time; for (1 .. $count) { send($s, 'x', 0); recv($s, $b, 64, 0) } printf "%f", (time - $begin) / $count * 1e6`;

const roundTrip = (pid: number, to: string): number => Number(inside(pid, 'perl', '-e', ASK, to, String(TRIPS)));

try {
  const [[one, two], [plain, other]] = [await linkedHosts('vxlan'), await linkedHosts('routes')];
  for (const [from, to, self] of [
    [one, two, 50_000],
    [plain, other, 50_000],
  ] as const) {
    know(from, to.address, [...range(FEW), self + 1]);
    know(to, from.address, [...range(FEW), self]);
    await start('nsenter', '-t', String(to.container), '--net', 'perl', '-e', ECHO);
  }
  const changes = { few: [] as number[], most: [] as number[] };
  const trips = { routes: [] as number[], few: [] as number[], most: [] as number[] };
  const filled: number[] = [];
  const both = (here: number[]): void => {
    for (let part = 0; part < TRIP_PARTS; part += 1) {
      trips.routes.push(roundTrip(plain.container, ipv4(50_001)));
      here.push(roundTrip(one.container, ipv4(50_001)));
    }
  };
  for (let round = 0; round < TRIP_ROUNDS; round += 1) {
    both(trips.few);
    changes.few.push(...measureChange(one, two.address, FEW));
    filled.push(timed(() => know(one, two.address, [...range(MOST), 50_001])));
    both(trips.most);
    changes.most.push(...measureChange(one, two.address, MOST));
    know(one, two.address, [...range(FEW), 50_001]);
  }
  row('one container of another host more or less', 'p50 ms', 'p90 ms');
  row(`${FEW} known`, percentile(changes.few, 0.5), percentile(changes.few, 0.9));
  row(`${MOST} known`, percentile(changes.most, 0.5), percentile(changes.most, 0.9));
  row(`ratio of ${MOST} to ${FEW} known`, percentile(changes.most, 0.5) / percentile(changes.few, 0.5));
  row(`from ${FEW} to ${MOST} known, ms`, percentile(filled, 0.5));
  // The least of many means: what other work of the machine adds is not the network's.
  const [routes, few, most] = [trips.routes, trips.few, trips.most].map((each) => Math.min(...each)) as [
    number,
    number,
    number,
  ];
  row('round trip of one byte between two hosts, UDP', 'least µs', 'p50 µs');
  row(`over routes, ${FEW} known`, routes, percentile(trips.routes, 0.5));
  row(`through the tunnel, ${FEW} known`, few, percentile(trips.few, 0.5));
  row(`through the tunnel, ${MOST} known`, most, percentile(trips.most, 0.5));
  row('ratio of tunnel to routes', few / routes);
  row(`ratio of ${MOST} to ${FEW} known`, most / few);
} finally {
  for (const child of children) child.kill('SIGKILL');
}
