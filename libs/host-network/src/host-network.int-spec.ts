/** On the real kernel, in a network of its own with an "outside". Needs root. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ContainerNetwork } from './container-network.js';
import { overlappingPools } from './foreign-routes.js';
import { HostNetwork } from './host-network.js';
import type { Repairs, RunningNetwork } from './placed-containers.js';
import { networkProblem } from './readiness.js';
import { enterNewNetwork } from './network-namespace.js';
import { advertisementFrame, arpFrame, neighbourFrame, sendFrames, udpFrame } from './testing/raw-frames.js';

const POOLS = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };
const HOST = '192.0.2.1';
const overlaps = (): string[] =>
  overlappingPools({ PLINTH_ADDRESS_POOL: POOLS.pool4, PLINTH_ADDRESS_POOL6: POOLS.pool6 }).map(
    ({ message }) => message,
  );
const OUTSIDE = '192.0.2.2';
const ALLOWED: ContainerNetwork['egress'] = { policy: 'allow' };
const children: ChildProcess[] = [];
let machine: string;
let agent: HostNetwork;
let other: HostNetwork;
let outside: number;

const ip = (...words: string[]): string => execFileSync('ip', words, { encoding: 'utf8' });
const nft = (...words: string[]): string => execFileSync('nft', words, { encoding: 'utf8' });
const within = (pid: number, ...argv: string[]): string[] => ['nsenter', '-t', String(pid), '--net', ...argv];

async function start(argv: readonly string[], ready?: string): Promise<number> {
  const [file = '', ...args] = argv;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child, 'spawn');
  if (ready !== undefined) for await (const text of child.stdout ?? []) if (String(text).includes(ready)) break;
  return child.pid ?? 0;
}

/** A process in a network of its own, as a container's first one. */
const newNamespace = (): Promise<number> =>
  start(['unshare', '--net', 'sh', '-c', 'echo ready; exec sleep infinity'], 'ready');

const SERVER = `const answer = (socket) => { socket.on('error', () => {}); socket.write(socket.remoteAddress + '\\n'); };
require('node:net').createServer(answer).listen({ port: Number(process.argv[1]), host: '::' }, () => console.log('ready'));
const udp = require('node:dgram').createSocket('udp6');
udp.on('message', (_, { address, port }) => udp.send(address, port, address));
udp.bind(Number(process.argv[1]));`;

const serve = (pid: number, port = 80): Promise<number> =>
  start(within(pid, process.execPath, '-e', SERVER, String(port)), 'ready');

let last = 0;
async function container(tenant: number, change: Partial<ContainerNetwork> = {}): Promise<RunningNetwork> {
  last += 1;
  return {
    containerId: last.toString(16).padStart(32, '0'),
    ipv4: `10.64.0.${last}`,
    ipv6: `fd00:706c:696e::a40:${last.toString(16)}`,
    tenant,
    ports: [],
    egress: ALLOWED,
    pid: await newNamespace(),
    ...change,
  };
}

async function attached(
  network: HostNetwork,
  tenant: number,
  change: Partial<ContainerNetwork> = {},
): Promise<RunningNetwork> {
  const made = await container(tenant, change);
  expect(network.attach(made)).toEqual({ ok: true });
  await serve(made.pid);
  return made;
}

/** First line that a TCP server sends, which is the caller's address; undefined: not reached. */
function call(pid: number | undefined, address: string, port = 80): string | undefined {
  const argv = ['timeout', '1', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${port} && head -n 1 <&3`];
  const [file = '', ...args] = pid === undefined ? argv : within(pid, ...argv);
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .replace('::ffff:', '');
  } catch {
    return undefined;
  }
}

const ASK = `const { isIPv6 } = require('node:net'); const [address, port] = process.argv.slice(1);
const udp = require('node:dgram').createSocket(isIPv6(address) ? 'udp6' : 'udp4');
udp.on('message', (text) => { console.log(String(text)); udp.close(); });
udp.send('?', Number(port), address); setTimeout(() => process.exit(1), 2000).unref();`;
const askUdp = (address: string, port: number): string =>
  execFileSync(process.execPath, ['-e', ASK, address, String(port)], { encoding: 'utf8' })
    .trim()
    .replace('::ffff:', '');

/** What the agents' clock is ahead of the machine's: it never goes back. */
let aheadMs = 0;
const later = (ms: number): number => Date.now() + (aheadMs += ms);
const check = (network: HostNetwork, running: readonly RunningNetwork[], nowMs = later(0)): Repairs =>
  network.check(running, (id) => running.find(({ containerId }) => containerId === id)?.pid, nowMs);

interface Kernel {
  readonly links: number;
  readonly routes: number;
  readonly tables: string;
  readonly loopback: string;
}
const kernel = (): Kernel => ({
  links: ip('-o', 'link').trim().split('\n').length,
  routes: `${ip('route')}${ip('-6', 'route')}`.trim().split('\n').length,
  tables: nft('list', 'tables'),
  loopback: ip('-o', 'address', 'show', 'dev', 'lo'),
});

beforeAll(async () => {
  machine = readlinkSync('/proc/thread-self/ns/net');
  expect(networkProblem()).toBeUndefined();
  expect(readlinkSync('/proc/thread-self/ns/net')).toBe(machine);
  enterNewNetwork();
  ip('link', 'set', 'lo', 'up');
  outside = await newNamespace();
  ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside));
  ip('address', 'add', `${HOST}/24`, 'dev', 'up0');
  ip('-6', 'address', 'add', 'fd00:1::1/64', 'dev', 'up0', 'nodad');
  ip('link', 'set', 'up0', 'up');
  ip('route', 'add', 'default', 'via', OUTSIDE);
  for (const words of [
    ['link', 'set', 'eth0', 'up'],
    ['address', 'add', `${OUTSIDE}/24`, 'dev', 'eth0'],
    ['-6', 'address', 'add', 'fd00:1::2/64', 'dev', 'eth0', 'nodad'],
  ])
    execFileSync('nsenter', within(outside, 'ip', ...words).slice(1));
  await serve(outside);
  agent = openAgent('aaaa00000000');
  other = openAgent('bbbb00000000');
});

function openAgent(instance: string): HostNetwork {
  const opened = HostNetwork.open({ instance, ...POOLS, nowMs: Date.now() });
  if (typeof opened === 'string') throw new Error(opened);
  return opened;
}

// The last link of a namespace whose processes are gone ends a moment later.
afterEach(() => {
  if (expect.getState().currentTestName?.startsWith('tenants') === true) return;
  agent.removeAll();
  other.removeAll();
});

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
});

describe('tenants', () => {
  let shop: RunningNetwork;
  let shopToo: RunningNetwork;
  let bank: RunningNetwork;
  let shopThere: RunningNetwork;
  let before: Kernel;

  beforeAll(async () => {
    before = kernel();
    shop = await attached(agent, 1);
    shopToo = await attached(agent, 1);
    bank = await attached(agent, 2);
    shopThere = await attached(other, 1);
  });

  it('reach their own containers, on both agents of a machine, by IPv4 and IPv6', () => {
    for (const [from, to] of [
      [shop, shopToo],
      [shopToo, shop],
      [shop, shopThere],
      [shopThere, shop],
    ] as const) {
      expect(call(from.pid, to.ipv4)).toBe(from.ipv4);
      expect(call(from.pid, to.ipv6)).toBe(from.ipv6);
    }
  });

  it('do not reach those of others, which is counted', () => {
    const refused = agent.drops().refused;
    expect(call(bank.pid, shop.ipv4)).toBeUndefined();
    expect(call(bank.pid, shop.ipv6)).toBeUndefined();
    expect(agent.drops().refused).toBeGreaterThan(refused);
    const there = other.drops().refused;
    expect(call(bank.pid, shopThere.ipv4)).toBeUndefined();
    expect(call(shopThere.pid, bank.ipv4)).toBeUndefined();
    expect(other.drops().refused).toBeGreaterThan(there);
  });

  it('reach the outside with the address of the host, and the host them', () => {
    expect(call(shop.pid, OUTSIDE)).toBe(HOST);
    expect(call(shop.pid, 'fd00:1::2')).toBe('fd00:1::1');
    expect(call(undefined, shop.ipv4)).toBeDefined();
    expect(call(undefined, shop.ipv6)).toBeDefined();
    expect(call(outside, shop.ipv4)).toBeUndefined();
  });

  it('ping no address of the host but the gateway and the resolver, also by IPv6', () => {
    const pings = (address: string): boolean => {
      const program = `use Socket qw(:all); socket(my $s, AF_INET6, SOCK_DGRAM, 58) or die $!; alarm 2;
        my (undef, $to) = getaddrinfo(shift, 0, {flags => AI_NUMERICHOST}); connect($s, $to->{addr}) or exit 1;
        send($s, pack("CCnnn", 128, 0, 0, 0, 1), 0) or exit 1; recv($s, my $answer, 64, 0); exit(length $answer ? 0 : 1)`;
      const argv = within(
        shop.pid,
        'sh',
        '-c',
        'echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range; exec perl -e "$0" "$1"',
        program,
        address,
      );
      return spawnSync(argv[0] ?? '', argv.slice(1)).status === 0;
    };
    expect(pings('fe80::1%eth0')).toBe(true);
    expect(pings('fd00:706c:696e:ffff::53')).toBe(true);
    expect(pings(shop.ipv6)).toBe(true);
    const dropped = agent.drops().toHost;
    expect(pings('fd00:1::1')).toBe(false);
    expect(agent.drops().toHost).toBeGreaterThan(dropped);
  });

  it('reach no service of the host, but the resolver', async () => {
    const pids = [await serve(process.pid), await serve(process.pid, 53)];
    const dropped = agent.drops().toHost;
    expect(call(shop.pid, HOST)).toBeUndefined();
    expect(call(shop.pid, '169.254.1.1')).toBeUndefined();
    expect(call(shop.pid, 'fd00:1::1')).toBeUndefined();
    expect(call(shop.pid, 'fe80::1%eth0')).toBeUndefined();
    expect(agent.drops().toHost).toBeGreaterThan(dropped);
    expect(call(shop.pid, HOST, 53)).toBeUndefined();
    expect(call(shop.pid, '169.254.1.1', 53)).toBe(shop.ipv4);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
  });

  it('reach no link-local address elsewhere, such as that of a cloud', () => {
    execFileSync('nsenter', within(outside, 'ip', 'address', 'add', '169.254.169.254/32', 'dev', 'eth0').slice(1));
    ip('route', 'add', '169.254.169.254', 'dev', 'up0');
    expect(call(undefined, '169.254.169.254')).toBeDefined();
    const { refused } = agent.drops();
    expect(call(shop.pid, '169.254.169.254')).toBeUndefined();
    expect(agent.drops().refused).toBeGreaterThan(refused);
    ip('route', 'delete', '169.254.169.254', 'dev', 'up0');
  });

  it('can not use the address of another container', () => {
    const { spoofed } = agent.drops();
    for (const words of [
      ['ip', 'address', 'add', shopToo.ipv4, 'dev', 'eth0'],
      ['ip', 'route', 'replace', 'default', 'via', '169.254.1.1', 'dev', 'eth0', 'src', shopToo.ipv4],
    ])
      execFileSync('nsenter', within(bank.pid, ...words).slice(1));
    expect(call(bank.pid, shop.ipv4)).toBeUndefined();
    expect(call(bank.pid, OUTSIDE)).toBeUndefined();
    expect(agent.drops().spoofed).toBeGreaterThan(spoofed);
    execFileSync(
      'nsenter',
      within(
        bank.pid,
        'ip',
        'route',
        'replace',
        'default',
        'via',
        '169.254.1.1',
        'dev',
        'eth0',
        'src',
        bank.ipv4,
      ).slice(1),
    );
    expect(call(bank.pid, OUTSIDE)).toBe(HOST);
  });

  it('are counted', () => {
    const counters = agent.counters().get(shop.containerId);
    expect(counters).toEqual({
      receivedBytes: expect.any(Number),
      receivedPackets: expect.any(Number),
      sentBytes: expect.any(Number),
      sentPackets: expect.any(Number),
    });
    expect(counters?.sentPackets).toBeGreaterThan(10);
  });

  it('leave nothing when the last one is gone', async () => {
    for (const child of children.filter(({ pid }) => pid !== outside)) child.kill('SIGKILL');
    await serve(outside);
    expect(check(agent, [])).toEqual({ done: [], failed: [] });
    expect(check(other, [])).toEqual({ done: [], failed: [] });
    agent.removeAll();
    other.removeAll();
    expect(kernel()).toEqual(before);
  });
});

describe('egress', () => {
  it('is what the policy permits, and replies are', async () => {
    const none = await attached(agent, 3, { egress: { policy: 'none' } });
    const list = await attached(agent, 3, {
      egress: {
        policy: 'list',
        to: [{ network: '192.0.2.0/30', protocol: 'tcp', ports: ['80'] }, { network: 'fd00:1::/64' }],
      },
    });
    expect(call(none.pid, OUTSIDE)).toBeUndefined();
    expect(call(none.pid, 'fd00:1::2')).toBeUndefined();
    expect(call(none.pid, list.ipv4)).toBe(none.ipv4);
    expect(call(undefined, none.ipv4)).toBeDefined();
    expect(call(list.pid, OUTSIDE)).toBe(HOST);
    expect(call(list.pid, 'fd00:1::2')).toBe('fd00:1::1');
    expect(call(list.pid, OUTSIDE, 53)).toBeUndefined();
    expect(agent.drops().egress).toBeGreaterThan(2);
  });

  it('has to be permitted by the tenant, too, whose policy changes for all its containers at once', async () => {
    const list = (network: string, ...ports: string[]) =>
      ({ policy: 'list', to: [{ network, ...(ports.length > 0 && { ports }) }] }) as const;
    agent.setTenantPolicy(3, list('192.0.2.0/29', '80', '5000-5001'));
    const [open, narrow] = [
      await attached(agent, 3),
      await attached(agent, 3, { egress: list(`${OUTSIDE}/32`, '81') }),
    ];
    const foreign = await attached(agent, 4);
    const here = await attached(other, 3);
    // Both permit what gets out: port 80 is not in the list of the second, nor port 81 in that of the tenant.
    expect(call(open.pid, OUTSIDE)).toBe(HOST);
    expect(call(open.pid, 'fd00:1::2')).toBeUndefined();
    expect(call(narrow.pid, OUTSIDE)).toBeUndefined();
    expect(call(foreign.pid, 'fd00:1::2')).toBe('fd00:1::1');
    const elements = nft('list', 'table', 'inet', 'plinth_aaaa00000000').match(/5000-5001/g);
    expect(elements).toHaveLength(2);
    agent.setTenantPolicy(3, { policy: 'none' });
    expect(call(open.pid, OUTSIDE)).toBeUndefined();
    expect(call(open.pid, here.ipv4)).toBe(open.ipv4);
    expect(call(undefined, open.ipv4)).toBeDefined();
    agent.setTenantPolicy(3, list('fd00:1::/64'));
    expect(call(open.pid, 'fd00:1::2')).toBe('fd00:1::1');
    expect(call(open.pid, OUTSIDE)).toBeUndefined();
    // They are a part of what is compared and written again.
    const running = [open, narrow, foreign];
    expect(check(agent, running, later(60_000))).toEqual({ done: [], failed: [] });
    nft('flush', 'set', 'inet', 'plinth_aaaa00000000', 'limited_tenants');
    expect(call(open.pid, OUTSIDE)).toBe(HOST);
    expect(check(agent, running, later(60_000)).done).toHaveLength(1);
    expect(call(open.pid, OUTSIDE)).toBeUndefined();
    agent.setTenantPolicy(3, undefined);
    expect(call(open.pid, OUTSIDE)).toBe(HOST);
    agent.setTenantPolicy(3, { policy: 'none' });
    const next = openAgent('aaaa00000000');
    next.setTenantPolicy(3, { policy: 'none' });
    expect(next.takeOver(running)).toEqual({ done: [], failed: [] });
    expect(call(open.pid, OUTSIDE)).toBeUndefined();
    agent.setTenantPolicy(3, undefined);
  });
});

describe('published ports', () => {
  it('are reached from outside, from the host and from containers, by TCP and UDP, IPv4 and IPv6', async () => {
    const tcp = { protocol: 'tcp', hostPort: 8080, containerPort: 80 } as const;
    const web = await attached(agent, 1, {
      egress: { policy: 'none' },
      ports: [tcp, { ...tcp, protocol: 'udp' }, { ...tcp, hostPort: 8081, hostAddress: HOST }],
    });
    const bank = await attached(other, 2);
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    expect(call(outside, 'fd00:1::1', 8080)).toBe('fd00:1::2');
    expect(call(undefined, HOST, 8080)).toBe(HOST);
    expect(call(undefined, 'fd00:1::1', 8080)).toBe('fd00:1::1');
    expect(call(outside, HOST, 8081)).toBe(OUTSIDE);
    expect(call(outside, 'fd00:1::1', 8081)).toBeUndefined();
    expect(askUdp(HOST, 8080)).toBe(HOST);
    expect(askUdp('fd00:1::1', 8080)).toBe('fd00:1::1');
    expect(call(bank.pid, HOST, 8080)).toBeDefined();
    expect(call(bank.pid, web.ipv4)).toBeUndefined();

    const second = await container(1, { ports: [tcp] });
    expect(agent.attach(second)).toEqual({
      ok: false,
      reason: 'port-taken',
      message: `tcp . 8080 belongs to container ${web.containerId} on this host`,
    });
    await agent.detach(web.containerId);
    expect(call(outside, HOST, 8080)).toBeUndefined();
    expect(agent.attach(second)).toEqual({ ok: true });
  });
});

describe('a port that a container of another agent of the machine publishes', () => {
  const tcp = { protocol: 'tcp', hostPort: 8080, containerPort: 80 } as const;

  it('is not published again, whichever address of the host either names', async () => {
    await attached(other, 2, { ports: [tcp, { ...tcp, hostPort: 8081, hostAddress: HOST }] });
    const problem = async (port: ContainerNetwork['ports'][number]): Promise<string | undefined> =>
      agent.portProblem(await container(1, { ports: [port] }));
    expect(await problem(tcp)).toMatch(/port 8080\/tcp is published by a container of another host agent/);
    expect(await problem({ ...tcp, hostAddress: HOST })).toMatch(/8080\/tcp/);
    expect(await problem({ ...tcp, hostAddress: 'fd00:1::1' })).toMatch(/8080\/tcp/);
    expect(await problem({ ...tcp, hostPort: 8081 })).toMatch(/8081\/tcp/);
    expect(await problem({ ...tcp, hostPort: 8081, hostAddress: HOST })).toMatch(/8081\/tcp/);
    expect(await problem({ ...tcp, hostPort: 8081, hostAddress: 'fd00:1::1' })).toBeUndefined();
    expect(await problem({ ...tcp, protocol: 'udp' })).toBeUndefined();
    expect(await problem({ ...tcp, hostPort: 8082 })).toBeUndefined();
  });

  it('is its own when it is moved from that one, and is reached there', async () => {
    const moved = await attached(other, 1, { ports: [tcp] });
    expect(agent.portProblem({ ...moved, pid: 0 } as RunningNetwork)).toBeUndefined();
    await other.detach(moved.containerId);
    const pid = await newNamespace();
    await serve(pid);
    expect(agent.attach({ ...moved, pid })).toEqual({ ok: true });
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    expect(call(outside, 'fd00:1::1', 8080)).toBe('fd00:1::2');
  });
});

it.each([
  ['0.0.0.0', '0.0.0.0', true],
  ['every address', '::', true],
  ['one address', HOST, true],
  ['one address of IPv6', 'fd00:1::1', true],
  ['the loopback', '127.0.0.1', false],
])('a port on which a program of the host listens at %s is not published', async (_where, address, inTheWay) => {
  const program = createServer();
  program.listen(8085, address);
  await once(program, 'listening');
  const ports = [{ protocol: 'tcp', hostPort: 8085, containerPort: 80 } as const];
  const problem = agent.portProblem(await container(1, { ports }));
  program.close();
  if (inTheWay) expect(problem).toMatch(/a program of this host listens on port 8085\/tcp/);
  else expect(problem).toBeUndefined();
});

describe('a container that misuses its network', () => {
  let shop: RunningNetwork;
  let victim: RunningNetwork;
  let foreign: RunningNetwork;

  beforeEach(async () => {
    shop = await attached(agent, 1);
    victim = await attached(agent, 1);
    foreign = await attached(agent, 2);
  });

  const received = ({ containerId }: RunningNetwork): number => agent.counters().get(containerId)?.receivedPackets ?? 0;
  const udp = (from: RunningNetwork, source: string, destination: string): Buffer =>
    udpFrame({ link: from.ipv4, source, destination });

  it('by addresses of others: all is dropped and counted, of IPv4 and of IPv6', () => {
    const before = { spoofed: agent.drops().spoofed, received: received(victim) };
    sendFrames(shop.pid, udp(shop, shop.ipv4, victim.ipv4), 10);
    sendFrames(shop.pid, udp(shop, shop.ipv6, victim.ipv6), 10);
    expect(agent.drops().spoofed).toBe(before.spoofed);
    expect(received(victim)).toBeGreaterThanOrEqual(before.received + 20);

    const own = received(victim);
    for (const source of [victim.ipv4, shop.ipv4, '10.64.200.1', '127.0.0.1', '169.254.1.1', HOST, '0.0.0.0'])
      sendFrames(foreign.pid, udp(foreign, source, victim.ipv4), 10);
    for (const source of [victim.ipv6, shop.ipv6, 'fd00:706c:696e::1', 'fd00:1::1', 'fe80::1'])
      sendFrames(foreign.pid, udp(foreign, source, victim.ipv6), 10);
    expect(agent.drops().spoofed).toBe(before.spoofed + 120);
    // The kernel drops this one before any rule.
    sendFrames(foreign.pid, udp(foreign, '::1', victim.ipv6), 10);
    // None of a kind came through; a packet of the kernel's own may have.
    expect(received(victim)).toBeLessThan(own + 10);
  });

  it('by a flood of such packets: each is counted, and the others answer meanwhile', () => {
    const { spoofed } = agent.drops();
    for (let round = 0; round < 20; round += 1) {
      sendFrames(foreign.pid, udp(foreign, shop.ipv4, victim.ipv4), 1_000);
      expect(call(shop.pid, victim.ipv4)).toBe(shop.ipv4);
    }
    expect(agent.drops().spoofed).toBe(spoofed + 20_000);
  });

  it('by answers to ARP and to neighbour solicitations for others: dropped and counted, nothing is learned', () => {
    const neighbours = (): string =>
      `${ip('neigh')}${ip('-6', 'neigh')}`
        .split('\n')
        .filter((line) => line.includes('plc'))
        .sort()
        .join('\n');
    const before = neighbours();
    const { claimed: counted } = agent.drops();
    for (const claimed of [victim.ipv4, '169.254.1.1', OUTSIDE]) {
      sendFrames(foreign.pid, arpFrame({ link: foreign.ipv4, claimed, operation: 'answer' }), 100);
      sendFrames(foreign.pid, arpFrame({ link: foreign.ipv4, claimed, operation: 'announcement' }), 100);
    }
    for (const claimed of [victim.ipv6, 'fe80::1', 'fd00:1::2'])
      sendFrames(foreign.pid, neighbourFrame({ link: foreign.ipv4, source: foreign.ipv6, claimed }), 100);
    expect(agent.drops().claimed).toBe(counted + 900);
    // A request teaches, too: the kernel would keep its sender, and has room for some thousand.
    for (let sender = 1; sender <= 200; sender += 1) {
      const request = { link: foreign.ipv4, claimed: `10.64.99.${sender}`, operation: 'request' } as const;
      sendFrames(foreign.pid, arpFrame(request), 1);
    }
    expect(agent.drops().claimed).toBe(counted + 1_100);
    expect(neighbours()).toBe(before);
    expect(call(shop.pid, victim.ipv4)).toBe(shop.ipv4);
    expect(call(shop.pid, victim.ipv6)).toBe(shop.ipv6);
    expect(call(shop.pid, OUTSIDE)).toBe(HOST);
    nft('delete', 'table', 'arp', 'plinth_aaaa00000000');
    expect(check(agent, [shop, victim, foreign], later(60_000)).done).toHaveLength(1);
    sendFrames(foreign.pid, arpFrame({ link: foreign.ipv4, claimed: victim.ipv4, operation: 'answer' }), 10);
    expect(agent.drops().claimed).toBe(10);
  });

  it('by router advertisements: dropped and counted, and the host has no other route', () => {
    const before = { routes: ip('-6', 'route'), advertised: agent.drops().advertised };
    for (const source of ['fe80::bad', foreign.ipv6])
      sendFrames(foreign.pid, advertisementFrame({ link: foreign.ipv4, source }), 10);
    expect(agent.drops().advertised).toBe(before.advertised + 20);
    expect(ip('-6', 'route')).toBe(before.routes);
  });
});

describe('connections that the kernel tracks', () => {
  const NAMED = `const [name] = process.argv.slice(1); const udp = require('node:dgram').createSocket('udp6');
udp.on('message', (_, { address, port }) => udp.send(name, port, address)); udp.bind(53, () => console.log('ready'));`;
  const SENDER = `const [address, port] = process.argv.slice(1); const udp = require('node:dgram').createSocket('udp4');
udp.on('message', (text) => console.log(String(text))); udp.on('error', () => {});
udp.bind(5555, () => setInterval(() => udp.send('?', Number(port), address, () => {}), 10));`;
  const ports = [{ protocol: 'udp', hostPort: 5353, containerPort: 53 }] as const;

  async function named(name: string, change: Partial<ContainerNetwork> = {}): Promise<RunningNetwork> {
    const made = await container(1, { ports: [...ports], ...change });
    await start(within(made.pid, process.execPath, '-e', NAMED, name), 'ready');
    return made;
  }

  it('do not outlive a container or its port: a sender that never pauses reaches the next one', async () => {
    const sender = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', '--', ...within(outside, process.execPath, '-e', SENDER, HOST, '5353')],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(sender);
    let latest = '';
    sender.stdout.on('data', (data: Buffer) => (latest = String(data).trim().split('\n').at(-1) ?? ''));
    const isAnsweredBy = async (name: string): Promise<void> => {
      for (const end = Date.now() + 60_000; latest !== name; await new Promise((resolve) => setTimeout(resolve, 20)))
        if (Date.now() > end) throw new Error(`the sender is answered by ${latest || 'nobody'}, not by ${name}`);
    };
    const one = await named('one');
    expect(agent.attach(one)).toEqual({ ok: true });
    await isAnsweredBy('one');
    // Another container, at another address.
    const two = await named('two');
    await agent.detach(one.containerId);
    expect(agent.attach(two)).toEqual({ ok: true });
    await isAnsweredBy('two');
    // The port is nobody's for a while, in which packets go to the host itself.
    await agent.detach(two.containerId);
    for (let quiet = ''; quiet !== 'quiet';) {
      latest = 'quiet';
      await new Promise((resolve) => setTimeout(resolve, 200));
      quiet = latest;
    }
    const three = await named('three');
    expect(agent.attach(three)).toEqual({ ok: true });
    await isAnsweredBy('three');
    // While it runs the port becomes that of another.
    const four = await named('four', { ports: [] });
    expect(agent.attach(four)).toEqual({ ok: true });
    expect(agent.change({ ...three, ports: [] })).toEqual({ ok: true });
    expect(agent.change({ ...four, ports: [...ports] })).toEqual({ ok: true });
    await isAnsweredBy('four');
    // The agent that removes it is not the one that attached it.
    const next = openAgent('aaaa00000000');
    await next.detach(four.containerId, four);
    await agent.detach(four.containerId);
    next.close();
    sender.kill('SIGKILL');
  });
});

describe('a change', () => {
  it('of egress and ports leaves the tenant as it is', async () => {
    const [one, two] = [await attached(agent, 1), await attached(agent, 1)];
    const ports = [{ protocol: 'tcp', hostPort: 9000, containerPort: 80 }] as const;
    expect(agent.change({ ...one, ports: [...ports], egress: { policy: 'none' } })).toEqual({ ok: true });
    expect(call(two.pid, one.ipv4)).toBe(two.ipv4);
    expect(call(one.pid, two.ipv4)).toBe(one.ipv4);
    expect(call(outside, HOST, 9000)).toBe(OUTSIDE);
    expect(call(one.pid, OUTSIDE)).toBeUndefined();
    expect(agent.change({ ...one, ports: [], egress: ALLOWED })).toEqual({ ok: true });
    expect(call(two.pid, one.ipv4)).toBe(two.ipv4);
    expect(call(outside, HOST, 9000)).toBeUndefined();
    expect(call(one.pid, OUTSIDE)).toBe(HOST);
  });
});

describe('a host whose IPv6 is switched off', () => {
  const SETTING = '/proc/sys/net/ipv6/conf/default/disable_ipv6';
  // Of the test's own network, as this thread is in that.
  afterEach(() => writeFileSync(SETTING, '0'));

  it('gives containers IPv4 alone, and both again when it is switched on', async () => {
    expect(readlinkSync('/proc/thread-self/ns/net')).not.toBe(machine);
    writeFileSync(SETTING, '1');
    const one = await attached(agent, 1);
    const two = await attached(agent, 1);
    expect(call(one.pid, two.ipv4)).toBe(one.ipv4);
    expect(call(one.pid, OUTSIDE)).toBe(HOST);
    const addresses = execFileSync(
      'nsenter',
      within(one.pid, 'ip', '-6', '-o', 'address', 'show', 'scope', 'global').slice(1),
    );
    expect(String(addresses)).toBe('');
    writeFileSync(SETTING, '0');
    expect(check(agent, [one, two]).failed).toEqual([]);
    const three = await attached(agent, 1);
    const four = await attached(agent, 1);
    expect(call(three.pid, four.ipv6)).toBe(three.ipv6);
  });
});

describe('a pair of interfaces that was ready', () => {
  const namespaceOf = ({ pid }: RunningNetwork): string => `/proc/${pid}/ns/net`;
  const names = (): string[] => [...ip('-o', 'link').matchAll(/plcaaaa\w+/g)].map(([name]) => name);
  const ready = async (): Promise<RunningNetwork> => {
    const made = await container(1);
    agent.prepare(namespaceOf(made));
    return made;
  };
  /** Both ends, without what differs between two containers. */
  const endsOf = ({ pid, ipv4, ipv6, containerId }: RunningNetwork): string => {
    const line = ip('-o', 'link').split('\n');
    const name = /plcaaaa\w+/.exec(line.find((each) => each.includes(containerId)) ?? '')?.[0] ?? '';
    const inside = 'ip -o -d address; ip route; ip -6 route; ip neighbour; cat /proc/sys/net/ipv6/conf/eth0/accept_ra';
    const outer = `ip -o -d address show ${name}; ip route; ip -6 route; ip neighbour | sort`;
    return [execFileSync('nsenter', within(pid, 'sh', '-c', inside).slice(1)), execFileSync('sh', ['-c', outer])]
      .flatMap((text) => String(text).split('\n'))
      .filter((each) => !each.includes('plc') || each.includes(name))
      .map((each) => each.replaceAll(`${ipv4} `, '4 ').replaceAll(`${ipv4}/`, '4/').replaceAll(ipv6, '6'))
      .map((each) =>
        each.replaceAll(name, 'host').replace(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|^\d+|@if\d+|netnsid \d+/g, '*'),
      )
      .filter((each) => each.includes('host') || each.includes('eth0'))
      .join('\n');
  };

  it('is as one that is made for its container, whose name the rules know', async () => {
    const one = await attached(agent, 1);
    const two = await ready();
    const [, made] = names();
    expect(ip('-o', 'link', 'show', made ?? '')).not.toContain('alias');
    expect(agent.attach(two)).toEqual({ ok: true });
    expect(ip('-o', 'link', 'show', made ?? '')).toContain(two.containerId);
    await serve(two.pid);
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      expect(call(from.pid, to.ipv4)).toBe(from.ipv4);
      expect(call(from.pid, to.ipv6)).toBe(from.ipv6);
    }
    expect(call(two.pid, OUTSIDE)).toBe(HOST);
    expect(endsOf(two)).toBe(endsOf(one));
    expect(names()).toHaveLength(2);
    expect(check(agent, [one, two], later(60_000))).toEqual({ done: [], failed: [] });
  });

  it('is nobody’s: it is gone with its network, with the last container, and for the next agent', async () => {
    const before = kernel();
    const one = await container(1);
    expect(agent.attach(one)).toEqual({ ok: true });
    const [two, three] = [await ready(), await ready()];
    expect(names()).toHaveLength(3);
    const next = openAgent('aaaa00000000');
    expect(next.takeOver([one])).toEqual({ done: [], failed: [] });
    expect(check(agent, [one], later(60_000)).failed).toEqual([]);
    process.kill(two.pid, 'SIGKILL');
    while (names().length > 2) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(agent.hasInterfaces).toBe(true);
    // Its network is another one now.
    expect(agent.attach({ ...two, pid: await newNamespace() })).toEqual({ ok: true });
    expect(check(agent, [one, two], later(60_000)).failed).toEqual([]);
    await agent.detach(two.containerId);
    await agent.detach(one.containerId);
    process.kill(one.pid, 'SIGKILL');
    while (ip('-o', 'link').includes(one.containerId)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(names().length).toBeGreaterThan(0);
    ip('link', 'delete', names().find((name) => ip('-o', 'link', 'show', name).includes(two.containerId)) ?? '');
    expect(agent.hasInterfaces).toBe(false);
    expect(check(agent, [])).toEqual({ done: [], failed: [] });
    expect(kernel()).toEqual(before);
    // There are no rules: nothing is made ready.
    agent.prepare(namespaceOf(three));
    expect(names()).toEqual([]);
    expect(agent.attach(three)).toEqual({ ok: true });
    next.close();
  });

  it('is that of the present run, also when that of an earlier one is still there', async () => {
    const one = await ready();
    expect(names()).toEqual([]);
    await attached(agent, 1);
    agent.prepare(namespaceOf(one));
    const [, name = ''] = names();
    const earlier = await container(1, { containerId: one.containerId, ipv4: one.ipv4, ipv6: one.ipv6 });
    expect(agent.attach(earlier)).toEqual({ ok: true });
    expect(agent.attach(one)).toEqual({ ok: true });
    expect(names()).toHaveLength(3);
    const next = openAgent('aaaa00000000');
    expect(next.takeOver([one])).toEqual({ done: [], failed: [] });
    expect(nft('list', 'map', 'inet', 'plinth_aaaa00000000', 'tenant4')).toContain(`"${name}" . ${one.ipv4} `);
    expect(check(next, [one], later(60_000))).toEqual({ done: [], failed: [] });
    next.close();
  });

  it('is made again where IPv6 was switched off or on since', async () => {
    await attached(agent, 1);
    const one = await ready();
    const setting = '/proc/sys/net/ipv6/conf/default/disable_ipv6';
    writeFileSync(setting, '1');
    try {
      check(agent, [], later(0));
      const two = await attached(agent, 1);
      const three = await ready();
      for (const each of [one, three]) expect(agent.attach(each)).toEqual({ ok: true });
      expect(endsOf(one)).toBe(endsOf(two));
      expect(endsOf(three)).toBe(endsOf(two));
    } finally {
      writeFileSync(setting, '0');
    }
  });
});

describe('derived state', () => {
  it('is found again by the next agent, after connections that stay open', async () => {
    const one = await attached(agent, 1, { ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }] });
    const gone = await attached(agent, 1);
    const elements = nft('list', 'map', 'inet', 'plinth_aaaa00000000', 'tenant4');
    const next = openAgent('aaaa00000000');
    expect(next.takeOver([one])).toEqual({ done: [], failed: [] });
    expect(nft('list', 'map', 'inet', 'plinth_aaaa00000000', 'tenant4')).toBe(
      elements.replace(new RegExp(`,?\\s*"\\w+" \\. ${gone.ipv4} : \\S+`), ''),
    );
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    expect(openAgent('aaaa00000000').takeOver([])).toEqual({ done: [], failed: [] });
    expect(nft('list', 'tables')).toBe('');
  });

  it('is written again when another program has removed or changed it', async () => {
    const one = await attached(agent, 1, {
      egress: {
        policy: 'list',
        to: [{ network: '0.0.0.0/0' }, { network: '192.0.2.0/29', protocol: 'tcp', ports: ['1-9'] }],
      },
      ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80, hostAddress: HOST }],
    });
    expect(check(agent, [one], later(60_000))).toEqual({ done: [], failed: [] });
    nft('flush', 'ruleset');
    expect(agent.guardRules().done).toEqual(['the table of rules was gone, and is written again']);
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    expect(agent.guardRules()).toEqual({ done: [], failed: [] });
    nft('flush', 'ruleset');
    expect(check(agent, [one], later(3_000)).done).toEqual(['the table of rules was gone, and is written again']);
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    nft('flush', 'map', 'inet', 'plinth_aaaa00000000', 'bound4');
    expect(call(outside, HOST, 8080)).toBeUndefined();
    expect(check(agent, [one], later(60_000)).done).toEqual([
      'the table of rules was changed by another program, and is written again',
    ]);
    expect(call(outside, HOST, 8080)).toBe(OUTSIDE);
    nft('add', 'table', 'inet', 'of_another');
    expect(check(agent, [one], later(60_000))).toEqual({ done: [], failed: [] });
    nft('delete', 'table', 'inet', 'of_another');
    // An element is changed although the table was emptied a moment ago.
    nft('flush', 'ruleset');
    const second = await attached(agent, 1);
    expect(call(second.pid, one.ipv4)).toBe(second.ipv4);
    const interfaceOf = ({ containerId }: { containerId: string }): string => {
      const line = ip('-o', 'link')
        .split('\n')
        .find((each) => each.includes(containerId));
      return /plcaaaa\w+/.exec(line ?? '')?.[0] ?? '';
    };
    ip('link', 'delete', interfaceOf(one));
    const again = [`container ${one.containerId} had no interface, and has one again`];
    expect(check(agent, [one, second], later(60_000)).done).toEqual(again);
    expect(call(second.pid, one.ipv4)).toBe(second.ipv4);
    // Its end leads into another network: the one that the host had before.
    ip('link', 'set', interfaceOf(one), 'netns', String(outside));
    expect(check(agent, [one, second], later(60_000)).done).toEqual(again);
    expect(call(second.pid, one.ipv4)).toBe(second.ipv4);
  });

  it('refuses a process that is in the network of the host, or is gone', async () => {
    const host = { ...(await container(1)), pid: process.pid };
    expect(agent.attach(host)).toMatchObject({ ok: false, reason: 'network-failed' });
    expect(agent.attach({ ...host, pid: 2 ** 22 + 1 })).toMatchObject({ ok: false, reason: 'network-failed' });
    expect(agent.size).toBe(0);
    expect(check(agent, [])).toEqual({ done: [], failed: [] });
    expect(nft('list', 'tables')).toBe('');
    expect(ip('-o', 'link')).not.toContain('plc');
  });

  it('finds a route of the host that leads into the pool', () => {
    expect(overlaps()).toEqual([]);
    ip('route', 'add', '10.0.0.0/8', 'via', OUTSIDE);
    expect(overlaps()).toEqual([
      expect.stringContaining('the route of this host to 10.0.0.0/8; set PLINTH_ADDRESS_POOL '),
    ]);
    ip('route', 'delete', '10.0.0.0/8');
  });

  it('finds an address of the host in the pool, and a route of IPv6', () => {
    ip('address', 'add', '10.64.9.9/32', 'dev', 'lo');
    ip('route', 'add', 'fd00:706c::/32', 'dev', 'lo');
    expect(overlaps()).toEqual([
      expect.stringContaining('10.64.9.9/32; set PLINTH_ADDRESS_POOL '),
      expect.stringContaining('fd00:706c::/32; set PLINTH_ADDRESS_POOL6 '),
    ]);
    ip('address', 'delete', '10.64.9.9/32', 'dev', 'lo');
    ip('route', 'delete', 'fd00:706c::/32', 'dev', 'lo');
  });

  it('takes no route of a container for one, whenever other agents make and end containers', async () => {
    const line = [
      'link add plcffff1 type veth peer name plcffff2',
      'link set plcffff1 up',
      'route add 10.64.9.9/32 dev plcffff1',
    ];
    const rounds = Array.from({ length: 200 }, () => [...line, 'link delete plcffff1', ''].join('\n')).join('');
    const batch = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'inherit', 'inherit'] });
    children.push(batch);
    batch.stdin.end(rounds);
    let looks = 0;
    while (batch.exitCode === null) {
      expect(overlaps()).toEqual([]);
      looks += 1;
      await new Promise((done) => setImmediate(done));
    }
    expect(batch.exitCode).toBe(0);
    expect(looks).toBeGreaterThan(10);
  });
});
