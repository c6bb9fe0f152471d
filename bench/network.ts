/**
 * `npm run bench:network`: what a container's network costs. Interface, addresses, routes and rules made by this
 * process against the programs `ip` and `nft`, at 10 and 1,000 known containers; the same with a published port against
 * the plugins `bridge` and `portmap` of CNI, where they are; and a packet's round trip between two
 * containers against a bare pair of interfaces, with 10 and 10,000 known. Everything is in a network namespace of the
 * benchmark's own.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { enterNewNetwork, HostNetwork, networkNames, type RunningNetwork } from '@plinth/host-network';
import { CniPlugins } from './cni-plugins.js';
import { percentile, row } from './system.js';

const ROUNDS = 40;
const WARM_UP = 5;
const TRIPS = 1_000;
const TRIP_ROUNDS = 5;
const TRIP_PARTS = 20;
const FEW = 10;
const MANY = 1_000;
const MOST = 10_000;
const INSTANCE = 'be0c00000000';
const { table } = networkNames(INSTANCE);
const POOLS = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };

const children = new Set<ChildProcess>();

/** A process in a network namespace of its own. */
async function namespace(): Promise<ChildProcess> {
  const argv = ['--pdeathsig', 'KILL', '--', 'unshare', '--net', 'sh', '-c', 'echo ready; exec sleep infinity'];
  const child = spawn('setpriv', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  await once(child.stdout ?? child, 'data');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  children.delete(child);
}

const ipv4 = (number: number): string => `10.64.${number >> 8}.${number & 0xff}`;
const ipv6 = (number: number): string => `fd00:706c:696e::a40:${number.toString(16)}`;

function container(number: number, pid: number): RunningNetwork {
  return {
    containerId: number.toString(16).padStart(32, '0'),
    ipv4: ipv4(number),
    ipv6: ipv6(number),
    tenant: 1,
    ports: [],
    egress: { policy: 'allow' },
    pid,
  };
}

function elements(verb: 'add' | 'delete', from: number, to: number): string {
  const each = (text: (number: number) => string): string =>
    Array.from({ length: to - from }, (_, index) => text(from + index)).join(', ');
  const mark = verb === 'add' ? ' : 1' : '';
  return [
    `${verb} element inet ${table} tenant4 { ${each((number) => `"plcx${number}" . ${ipv4(number)}${mark}`)} }`,
    `${verb} element inet ${table} tenant6 { ${each((number) => `"plcx${number}" . ${ipv6(number)}${mark}`)} }`,
    `${verb} element inet ${table} member4 { ${each((number) => `1 . ${ipv4(number)}`)} }`,
    `${verb} element inet ${table} member6 { ${each((number) => `1 . ${ipv6(number)}`)} }`,
  ].join('\n');
}

const nft = (input: string): void => void execFileSync('nft', ['-f', '-'], { input });

function timed(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

/** The same as attach() by programs: as few of them as can be. */
function attachByPrograms(number: number, pid: number): void {
  nft(elements('add', number, number + 1));
  const name = `plcx${number}`;
  execFileSync('ip', ['-batch', '-'], {
    input: [
      `link add ${name} type veth peer name eth0 netns ${pid}`,
      `link set ${name} addrgenmode none`,
      `link set ${name} up`,
      `address add fe80::1/128 dev ${name} nodad`,
      `neighbour replace ${ipv4(number)} lladdr 02:70:0a:40:00:01 dev ${name} nud permanent`,
      `neighbour replace ${ipv6(number)} lladdr 02:70:0a:40:00:01 dev ${name} nud permanent`,
      `route replace ${ipv4(number)} dev ${name} scope link`,
      `route replace ${ipv6(number)} dev ${name}`,
    ].join('\n'),
  });
  execFileSync('nsenter', ['-t', String(pid), '--net', 'ip', '-batch', '-'], {
    input: [
      'link set lo up',
      'link set eth0 addrgenmode none',
      'link set eth0 up',
      `address add ${ipv4(number)}/32 dev eth0`,
      `address add ${ipv6(number)}/128 dev eth0 nodad`,
      'neighbour replace 169.254.1.1 lladdr 06:70:0a:40:00:01 dev eth0 nud permanent',
      'neighbour replace fe80::1 lladdr 06:70:0a:40:00:01 dev eth0 nud permanent',
      'route add 169.254.1.1 dev eth0 scope link',
      'route add default via 169.254.1.1 dev eth0',
      'route add default via fe80::1 dev eth0',
    ].join('\n'),
  });
}

/** With a published port, as `bridge` and `portmap` make it. */
async function measureCni(network: HostNetwork): Promise<void> {
  const plugins = CniPlugins.open();
  if (typeof plugins === 'string') {
    console.log(plugins);
    return;
  }
  const times = { attach: [] as number[], detach: [] as number[], added: [] as number[], deleted: [] as number[] };
  try {
    for (let round = 0; round < ROUNDS + WARM_UP; round += 1) {
      const [ours, theirs] = await Promise.all([namespace(), namespace()]);
      const number = 30_000 + round;
      const ports = [{ protocol: 'tcp', hostPort: number, containerPort: 80 }] as const;
      const one = { ...container(number, ours.pid ?? 0), ports };
      const attach = timed(() => {
        const result = network.attach(one);
        if (!result.ok) throw new Error(result.message);
      });
      const { containerId } = container(number, 0);
      const added = timed(() => plugins.add(containerId, theirs.pid ?? 0, number + 1_000));
      const detach = timed(() => void network.detach(one.containerId));
      const deleted = timed(() => plugins.delete(containerId, theirs.pid ?? 0, number + 1_000));
      await Promise.all([end(ours), end(theirs)]);
      if (round < WARM_UP) continue;
      times.attach.push(attach);
      times.detach.push(detach);
      times.added.push(added);
      times.deleted.push(deleted);
    }
  } finally {
    plugins.close();
  }
  row('one container with a published port', 'p50 ms', 'p90 ms');
  row('attach, in the process', percentile(times.attach, 0.5), percentile(times.attach, 0.9));
  row('ADD of CNI: bridge, portmap', percentile(times.added, 0.5), percentile(times.added, 0.9));
  row('detach, in the process', percentile(times.detach, 0.5), percentile(times.detach, 0.9));
  row('DEL of CNI: portmap, bridge', percentile(times.deleted, 0.5), percentile(times.deleted, 0.9));
  row('times faster: attach (goal ≥ 20)', percentile(times.added, 0.5) / percentile(times.attach, 0.5));
  row('times faster: detach', percentile(times.deleted, 0.5) / percentile(times.detach, 0.5));
}

async function measureAttaching(network: HostNetwork, known: number): Promise<void> {
  const times = { attach: [] as number[], detach: [] as number[], made: [] as number[], removed: [] as number[] };
  for (let round = 0; round < ROUNDS + WARM_UP; round += 1) {
    const [ours, theirs] = await Promise.all([namespace(), namespace()]);
    const number = 40_000 + 2 * round;
    const one = container(number, ours.pid ?? 0);
    const attach = timed(() => {
      const result = network.attach(one);
      if (!result.ok) throw new Error(result.message);
    });
    const made = timed(() => attachByPrograms(number + 1, theirs.pid ?? 0));
    const detach = timed(() => void network.detach(one.containerId));
    const removed = timed(() => nft(elements('delete', number + 1, number + 2)));
    await Promise.all([end(ours), end(theirs)]);
    if (round < WARM_UP) continue;
    times.attach.push(attach);
    times.detach.push(detach);
    times.made.push(made);
    times.removed.push(removed);
  }
  row(`one container, ${known} known`, 'p50 ms', 'p90 ms');
  row('attach, in the process', percentile(times.attach, 0.5), percentile(times.attach, 0.9));
  row('the same by nft and ip', percentile(times.made, 0.5), percentile(times.made, 0.9));
  row('detach, in the process', percentile(times.detach, 0.5), percentile(times.detach, 0.9));
  row('the same by nft', percentile(times.removed, 0.5), percentile(times.removed, 0.9));
  row('times faster: attach', percentile(times.made, 0.5) / percentile(times.attach, 0.5));
  row('times faster: detach', percentile(times.removed, 0.5) / percentile(times.detach, 0.5));
}

const ECHO = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 7, Proto => 'udp') or die $!;
$| = 1; print "ready\\n"; my $b; while (my $from = recv($s, $b, 64, 0)) { send($s, $b, 0, $from) }`;
const ASK = `use IO::Socket::INET; use Time::HiRes 'time'; my ($to, $count) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $to, PeerPort => 7, Proto => 'udp') or die $!;
my $b; my $begin = time; for (1 .. $count) { send($s, 'x', 0); recv($s, $b, 64, 0) } printf "%f", (time - $begin) / $count * 1e6`;

async function echo(pid: number): Promise<void> {
  const child = spawn('nsenter', ['-t', String(pid), '--net', 'setpriv', '--pdeathsig', 'KILL', 'perl', '-e', ECHO], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  await once(child.stdout ?? child, 'data');
}

/** Mean of many round trips of one byte by UDP, µs. */
function roundTrip(pid: number, to: string): number {
  const argv = ['-t', String(pid), '--net', 'perl', '-e', ASK, to, String(TRIPS)];
  return Number(execFileSync('nsenter', argv, { encoding: 'utf8' }));
}

async function measureRoundTrips(network: HostNetwork): Promise<void> {
  const [from, to, bareFrom, bareTo, router] = await Promise.all([
    namespace(),
    namespace(),
    namespace(),
    namespace(),
    namespace(),
  ]);
  const pair = [container(50_000, from.pid ?? 0), container(50_001, to.pid ?? 0)] as const;
  for (const one of pair) {
    const result = network.attach(one);
    if (!result.ok) throw new Error(result.message);
  }
  // The same way through a network namespace that has neither rules nor connection tracking.
  const inside = (pid: number | undefined, ...argv: string[]): void =>
    void execFileSync('nsenter', ['-t', String(pid), '--net', ...argv]);
  inside(router.pid, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  for (const [index, { pid }] of [bareFrom, bareTo].entries()) {
    const link = `bare${index}`;
    const host = `192.168.${index}.1`;
    inside(router.pid, 'ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
    inside(router.pid, 'ip', 'address', 'add', `${host}/24`, 'dev', link);
    inside(router.pid, 'ip', 'link', 'set', link, 'up');
    inside(pid, 'ip', 'link', 'set', 'eth0', 'up');
    inside(pid, 'ip', 'address', 'add', `192.168.${index}.2/24`, 'dev', 'eth0');
    inside(pid, 'ip', 'route', 'add', 'default', 'via', host);
  }
  await echo(to.pid ?? 0);
  await echo(bareTo.pid ?? 0);
  const times = { bare: [] as number[], few: [] as number[], most: [] as number[] };
  for (let round = 0; round < TRIP_ROUNDS; round += 1) {
    const both = (here: number[]): void => {
      for (let part = 0; part < TRIP_PARTS; part += 1) {
        times.bare.push(roundTrip(bareFrom.pid ?? 0, '192.168.1.2'));
        here.push(roundTrip(pair[0].pid, pair[1].ipv4));
      }
    };
    both(times.few);
    nft(elements('add', FEW, MOST));
    both(times.most);
    nft(elements('delete', FEW, MOST));
  }
  // The least of many means: what other work of the machine adds is not the network's.
  const [bare, few, most] = [times.bare, times.few, times.most].map((each) => Math.min(...each)) as [
    number,
    number,
    number,
  ];
  row('round trip of one byte, UDP', 'least µs', 'p50 µs');
  row('over two bare pairs of interfaces, no rules', bare, percentile(times.bare, 0.5));
  row(`between containers, ${FEW} known`, few, percentile(times.few, 0.5));
  row(`between containers, ${MOST} known`, most, percentile(times.most, 0.5));
  row('ratio to bare pairs (goal ≤ 1.2)', most / bare);
  row(`ratio of ${MOST} to ${FEW} known`, most / few);
}

enterNewNetwork();
execFileSync('ip', ['link', 'set', 'lo', 'up']);
const opened = HostNetwork.open({ instance: INSTANCE, ...POOLS, nowMs: Date.now() });
if (typeof opened === 'string') throw new Error(opened);
try {
  // The first container has the table written.
  const first = await namespace();
  opened.attach(container(60_000, first.pid ?? 0));
  nft(elements('add', 1, FEW));
  await measureAttaching(opened, FEW);
  await measureCni(opened);
  nft(elements('add', FEW, MANY));
  await measureAttaching(opened, MANY);
  nft(elements('delete', FEW, MANY));
  await measureRoundTrips(opened);
} finally {
  opened.removeAll();
  await Promise.all([...children].map(end));
}
