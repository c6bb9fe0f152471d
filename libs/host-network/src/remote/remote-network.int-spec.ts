/** Hosts in network namespaces that share a link, on the real kernel. Needs root. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DropCounts } from '../nft/rule-table.js';
import {
  call,
  endAll,
  type LinkedHost,
  linkHosts,
  receives,
  runIn,
  type TestContainer,
  TUNNEL_PORT,
} from '../testing/linked-hosts.js';
import { type Forged, forgedPacket } from '../testing/forged-packet.js';
import { hostKeys, type RemoteContainer } from './remote-containers.js';
import type { TunnelOptions } from './remote-network.js';

const TENANT = 5;
const OTHER_TENANT = 6;

const at = (host: LinkedHost, { ipv4, ipv6, tenant }: TestContainer): RemoteContainer => ({
  ipv4,
  ipv6,
  tenant,
  hostAddress: host.tunnel.address,
});

/** What `work` adds to the counts of dropped packets. */
async function dropped(host: LinkedHost, work: () => unknown): Promise<Partial<DropCounts>> {
  const before = host.in(() => host.network.drops());
  await work();
  const after = host.in(() => host.network.drops());
  return Object.fromEntries(
    (Object.keys(after) as (keyof DropCounts)[])
      .map((name) => [name, after[name] - before[name]] as const)
      .filter(([, packets]) => packets > 0),
  );
}

afterAll(endAll);

const vxlan4 = (number: number): TunnelOptions => ({ mode: 'vxlan', address: `192.0.2.${number}`, port: TUNNEL_PORT });
const vxlan6 = (number: number): TunnelOptions => ({ mode: 'vxlan', address: `fd00:1::${number}`, port: TUNNEL_PORT });
const routes6 = (number: number): TunnelOptions => ({
  mode: 'routes',
  address: `fd00:1::${number}`,
  port: TUNNEL_PORT,
});

describe.each([
  ['a tunnel over IPv4', vxlan4, 1_450],
  ['a tunnel over IPv6', vxlan6, 1_430],
  ['routes', routes6, 1_500],
] as const)('through %s', (_what, tunnel, mtu) => {
  let one: LinkedHost;
  let two: LinkedHost;
  let here: TestContainer;
  let there: TestContainer;
  let foreign: TestContainer;
  let before: readonly string[];
  const all = new Map<string, readonly [LinkedHost, TestContainer]>();
  /** Everyone knows of everything, as the feed would have it. */
  const publish = (): void => {
    for (const host of [one, two]) {
      const remote = [...all.values()].flatMap(([on, container]) => (on === host ? [] : [at(on, container)]));
      for (const tenant of [TENANT, OTHER_TENANT])
        host.knows(
          `${tenant}/0`,
          remote.filter((container) => container.tenant === tenant),
        );
    }
  };

  beforeAll(async () => {
    const { hosts } = await linkHosts(2, tunnel);
    [one, two] = hosts as [LinkedHost, LinkedHost];
    before = [one.kernel(), two.kernel()];
    here = await one.attach(TENANT);
    there = await two.attach(TENANT);
    foreign = await two.attach(OTHER_TENANT);
    all.set('here', [one, here]).set('there', [two, there]).set('foreign', [two, foreign]);
    publish();
    // The hosts find each other on a link that has just come up: their first questions may be lost.
    for (let tries = 0; tries < 10 && call(here.pid, there.ipv4) === undefined; tries += 1);
  });

  it('a container reaches one of its tenant over TCP and UDP, IPv4 and IPv6, which sees its address', () => {
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const)
      for (const protocol of ['tcp', 'udp'] as const) {
        expect(call(from.pid, to.ipv4, protocol)).toBe(from.ipv4);
        expect(call(from.pid, to.ipv6, protocol)).toBe(from.ipv6);
      }
  });

  it('the interface takes what fits into the tunnel, and so much arrives', () => {
    expect(runIn(here.pid, 'ip', '-o', 'link', 'show', 'eth0')).toContain(` mtu ${mtu} `);
    expect(call(here.pid, there.ipv4, 'udp', mtu - 28)).toBe(here.ipv4);
    expect(call(here.pid, there.ipv6, 'udp', mtu - 48)).toBe(here.ipv6);
  });

  it("a container does not reach another tenant's, and that is counted where it was sent", async () => {
    const counts = await dropped(one, () => {
      expect(call(here.pid, foreign.ipv4)).toBeUndefined();
      expect(call(here.pid, foreign.ipv6)).toBeUndefined();
    });
    expect(Object.keys(counts)).toEqual(['refused']);
    expect(foreign.received).toEqual([]);
  });

  it('no container reaches the hosts, by no protocol', async () => {
    const counts = await dropped(one, () => {
      expect(call(here.pid, two.tunnel.address)).toBeUndefined();
      expect(call(here.pid, two.tunnel.address, 'udp')).toBeUndefined();
    });
    expect(Object.keys(counts)).toEqual(['underlay']);
  });

  it('what the agent knew when it was killed is found again; what it had not finished is put right', () => {
    const whole = [one.kernel(), two.kernel()];
    one.network.close();
    one.run('ip', 'route', 'del', there.ipv4, 'proto', '112');
    one.run('ip', '-6', 'route', 'del', there.ipv6, 'proto', '112');
    one.run('ip', 'route', 'add', '10.64.9.9', 'via', ...via(two), 'proto', '112', 'metric', metricOf(one));
    one.open();
    publish();
    const repairs = one.in(() => one.network.takeOver([here]));
    expect(repairs.failed).toEqual([]);
    expect([one.kernel(), two.kernel()]).toEqual(whole);
    expect(call(here.pid, there.ipv4)).toBe(here.ipv4);
    expect(one.in(() => one.network.check([here], () => here.pid, Date.now()))).toEqual({ done: [], failed: [] });
  });

  it('what another program removed is made again', () => {
    const whole = one.kernel();
    one.run('ip', 'route', 'flush', 'proto', '112');
    if (one.tunnel.mode === 'vxlan') one.run('ip', 'link', 'del', 'plt0');
    const repairs = one.in(() => one.network.check([here], () => here.pid, Date.now() + 60_000));
    expect(repairs.failed).toEqual([]);
    expect(repairs.done).toHaveLength(1);
    expect(one.kernel()).toBe(whole);
    expect(call(here.pid, there.ipv6)).toBe(here.ipv6);
  });

  it('a container that moves keeps its address, and is reached where it is', async () => {
    await two.in(() => two.network.detach(there.containerId));
    runIn(there.pid, 'ip', 'link', 'del', 'eth0');
    const { ipv4, ipv6, containerId } = there;
    const moved = await one.attach(TENANT, { ipv4, ipv6, containerId });
    // Before the others know, it is reached on its own host.
    expect(call(here.pid, ipv4)).toBe(here.ipv4);
    all.set('there', [one, moved]);
    publish();
    expect(call(here.pid, ipv4)).toBe(here.ipv4);
    await one.in(() => one.network.detach(containerId));
    const back = await two.attach(TENANT, { ipv4, ipv6, containerId });
    all.set('there', [two, back]);
    publish();
    runIn(moved.pid, 'ip', 'link', 'del', 'eth0');
    expect(call(here.pid, ipv4, 'udp')).toBe(here.ipv4);
    expect(call(back.pid, here.ipv6)).toBe(ipv6);
    there = back;
  });

  it('nothing is left when the last container is gone', () => {
    for (const [host, containers] of [
      [one, [here]],
      [two, [there, foreign]],
    ] as const) {
      for (const { pid } of containers) runIn(pid, 'ip', 'link', 'del', 'eth0');
      host.in(() => host.network.check([], () => undefined, Date.now()));
    }
    expect([one.kernel(), two.kernel()]).toEqual(before);
  });
});

describe('a datagram that is made to look like one of the tunnel', () => {
  let one: LinkedHost;
  let two: LinkedHost;
  let three: LinkedHost;
  let here: TestContainer;
  let there: TestContainer;
  let foreign: TestContainer;

  beforeAll(async () => {
    [one, two, three] = (await linkHosts(3, vxlan4)).hosts as [LinkedHost, LinkedHost, LinkedHost];
    here = await one.attach(TENANT);
    there = await two.attach(TENANT);
    foreign = await two.attach(OTHER_TENANT);
    one.knows('5/0', [at(two, there)]);
    two.knows('5/0', [at(one, here)]);
    two.knows('6/0', [
      { ipv4: '10.64.0.99', ipv6: 'fd00:706c:696e::a40:63', tenant: OTHER_TENANT, hostAddress: '192.0.2.1' },
    ]);
    expect(call(here.pid, there.ipv4)).toBe(here.ipv4);
  });

  const send = (pid: number, change: Partial<Forged>, to = two.tunnel.address): void => {
    const packet = forgedPacket({
      to: hostKeys(to).hardwareAddress,
      tenant: TENANT,
      source: here.ipv4,
      destination: there.ipv4,
      text: 'forged',
      ...change,
    });
    runIn(pid, process.execPath, '-e', SEND, packet.toString('hex'), to, String(TUNNEL_PORT));
  };

  it('is accepted from a known host, for a container of the tenant that it names', async () => {
    send(one.pid, { text: 'as the kernel sends it' });
    await receives(there, 'as the kernel sends it');
  });

  it.each<[string, () => Partial<Forged>]>([
    ['another tenant than that of its source', () => ({ tenant: OTHER_TENANT })],
    ['another tenant, whose container it is to reach', () => ({ tenant: OTHER_TENANT, destination: foreign.ipv4 })],
    ['a tenant whose container it is not to reach', () => ({ destination: foreign.ipv4 })],
    ['a source of one tenant, a destination of another', () => ({ source: '10.64.0.99', destination: there.ipv4 })],
    ['no tenant', () => ({ tenant: 0 })],
    ['nothing about a tenant', () => ({ tenant: undefined })],
    ['a source that is nowhere', () => ({ source: '10.64.77.7' })],
    ['a source that is on this host', () => ({ source: there.ipv4 })],
    ['a source outside of the pool', () => ({ source: '198.51.100.1' })],
    ['the host itself as destination', () => ({ destination: two.tunnel.address })],
    ['a destination elsewhere', () => ({ destination: '198.51.100.1' })],
    ['a destination that is nowhere', () => ({ destination: '10.64.77.7' })],
  ])('is dropped and counted with %s', async (_what, change) => {
    const counts = await dropped(two, () => send(one.pid, change()));
    expect(counts).toEqual({ tunnel: 1 });
    expect([...there.received, ...foreign.received]).not.toContain('forged');
  });

  it('is dropped and counted from a host that is not known', async () => {
    expect(await dropped(two, () => send(three.pid, {}))).toEqual({ tunnel: 1 });
  });

  it('does not leave a container, whether its host knows the other or not', async () => {
    expect(await dropped(one, () => send(here.pid, {}))).toEqual({ underlay: 1 });
    expect(await dropped(one, () => send(here.pid, {}, three.tunnel.address))).toEqual({ underlay: 1 });
    expect(await dropped(one, () => send(here.pid, {}, '198.51.100.1'))).toEqual({ underlay: 1 });
    expect(there.received).not.toContain('forged');
  });

  it('is not made of what a container sends with an address that is not its own', async () => {
    runIn(here.pid, 'ip', 'address', 'add', '10.64.0.99/32', 'dev', 'eth0');
    const counts = await dropped(one, () => {
      const from =
        "const u = require('node:dgram').createSocket('udp4'); u.bind(0, '10.64.0.99', () => u.send('forged', 80, process.argv[1], () => u.close()));";
      runIn(here.pid, process.execPath, '-e', from, there.ipv4);
    });
    expect(counts).toEqual({ spoofed: 1 });
    expect(there.received).not.toContain('forged');
  });
});

const SEND = `const [packet, address, port] = process.argv.slice(1);
const udp = require('node:dgram').createSocket('udp4');
udp.send(Buffer.from(packet, 'hex'), Number(port), address, () => udp.close());`;

const metricOf = (host: LinkedHost): string => String(2_000 + parseInt(`${host.name.slice(-1)}aaa`, 16));
const via = (host: LinkedHost): string[] =>
  host.tunnel.mode === 'routes'
    ? ['inet6', host.tunnel.address]
    : host.tunnel.address.includes(':')
      ? ['inet6', hostKeys(host.tunnel.address).gateway6, 'dev', 'plt0', 'onlink']
      : [host.tunnel.address, 'dev', 'plt0', 'onlink'];
