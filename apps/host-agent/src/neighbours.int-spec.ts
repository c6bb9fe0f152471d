/** Two hosts: an agent in the test's own network namespace and one in another, with a link between them; real NATS. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ContainerAddress,
  desiredNeighbours,
  type HostHeartbeat,
  type Neighbour,
  neighbourShard,
} from '@plinth/contracts';
import { enterNewNetwork } from '@plinth/host-network';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

const HERE = '192.0.2.1';
const THERE = '192.0.2.2';
const SERVER = `use IO::Socket::INET; $SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  next if fork;
  $client->send("you are " . $client->peerhost);
  exit;
}`;

interface Container {
  readonly config: Record<string, unknown> & { containerId: string };
  readonly address: ContainerAddress;
  readonly tenant: number;
  readonly host: string;
}

let bench: AgentBench;
let agents: { here: ChildProcess; there: ChildProcess };
let there: string;
let network: ChildProcess;
/** Stands between the bus and the agent in the other network. */
let bus: Server;
let last = 0;
const ids: string[] = [];
const containers = new Map<string, Container>();
const sockets = new Set<{ destroy(): void }>();

const ip = (...argv: string[]): string => execFileSync('ip', argv, { encoding: 'utf8' });
const away = (...argv: string[]): string =>
  execFileSync('nsenter', ['-t', String(network.pid), '--net', ...argv], { encoding: 'utf8' });

async function started(host: string, tenant: number, change: Record<string, unknown> = {}): Promise<Container> {
  last += 1;
  const address = { ipv4: `10.64.2.${last}`, ipv6: `fd00:706c:696e::a40:2${last.toString(16).padStart(2, '0')}` };
  const config = bench.config({
    host,
    network: 'container',
    address,
    name: `c-${last}`,
    tenant: `tenant-${tenant}`,
    tenantNumber: tenant,
    command: ['/usr/bin/perl', '-e', SERVER],
    ...change,
  });
  const { containerId } = config;
  ids.push(containerId);
  await bench.publishConfig(config);
  await bench.report(containerId, 'started', { host });
  const made = { config, address: config['address'] as ContainerAddress, tenant, host };
  containers.set(containerId, made);
  return made;
}

async function removed({ config, host }: Container, desired: 'removed' | 'released' = 'removed'): Promise<void> {
  await bench.publishConfig({
    ...config,
    generation: Number(config['generation']) + 8,
    desired,
    ...(desired === 'removed' && { deleteData: true }),
  });
  await bench.report(config.containerId, desired, { host });
  containers.delete(config.containerId);
}

/** Publishes what each host has to know, as the provisioner does; a part without containers where it has none. */
async function publish(tenants: readonly number[], hosts: readonly string[] = [bench.host, there]): Promise<void> {
  for (const tenant of tenants) {
    const all = [...containers.values()].filter((container) => container.tenant === tenant);
    const shards = new Set(ids.map(neighbourShard));
    for (const host of hosts)
      for (const shard of shards) {
        const serves = all.some((container) => container.host === host);
        const part = all.filter(({ config }) => serves && neighbourShard(config.containerId) === shard);
        const value = {
          tenant: `tenant-${tenant}`,
          tenantNumber: tenant,
          shard,
          containers: part.map(({ config, address, host: on }): Neighbour => ({
            id: config.containerId,
            name: String(config['name']),
            host: on,
            hostAddress: on === there ? THERE : HERE,
            ...address,
            running: true,
          })),
        };
        await bench.connection
          .jetstream({ timeout: 60_000 })
          .publish(desiredNeighbours(host, tenant, shard), JSON.stringify(value));
      }
  }
}

const CALL = 'exec 3<>/dev/tcp/$0/80 && head -n 1 <&3';
const pidOf = (container: Container): number => {
  const [pid = 0] = bench.alive(container.config.containerId, container.host);
  return pid;
};

/** The container's own network calls: this needs neither agent nor bus. */
function call(from: Container, { address }: Container): string {
  const argv = ['-t', String(pidOf(from)), '--net', 'timeout', '1', 'bash', '-c', CALL, address.ipv4];
  try {
    return execFileSync('nsenter', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return '';
  }
}

async function reaches(from: Container, to: Container): Promise<void> {
  const look = (): true | undefined => (call(from, to) === `you are ${from.address.ipv4}` ? true : undefined);
  await waitFor(look, `${to.address.ipv4} from ${from.address.ipv4}`);
}

const present = (): string[] =>
  ['', 'nsenter'].map((inside) =>
    [
      ['ip', '-o', 'link'],
      ['ip', 'route'],
      ['ip', '-6', 'route'],
      ['nft', 'list', 'tables'],
    ]
      .map(([file = '', ...argv]) => (inside ? away(file, ...argv) : execFileSync(file, argv, { encoding: 'utf8' })))
      .join('\n')
      .replace(/qdisc \S+ state \S+/g, ''),
  );
let before: string[];

beforeAll(async () => {
  enterNewNetwork();
  network = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', '--', 'unshare', '--net', 'sh', '-c', 'echo; exec sleep infinity'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(network.stdout ?? network, 'data');
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', String(network.pid));
  ip('address', 'add', `${HERE}/24`, 'dev', 'up0');
  ip('link', 'set', 'up0', 'up');
  away('ip', 'link', 'set', 'lo', 'up');
  away('ip', 'address', 'add', `${THERE}/24`, 'dev', 'up0');
  away('ip', 'link', 'set', 'up0', 'up');
  // The kernel gives both ends their own addresses of the link in a moment.
  await waitFor(() => (ip('-6', 'address', 'show', 'dev', 'up0', 'tentative') === '' ? true : undefined), 'the link');
  await waitFor(() => (away('ip', '-6', 'route').includes('up0') ? true : undefined), 'the link');
  before = present();
  bench = await AgentBench.open();
  await bench.installImage('v1');
  there = `${bench.host}-b`;
  bus = createServer((client) => {
    const { hostname, port } = new URL(bench.connection.getServer().replace(/^(?!nats)/, 'nats://'));
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.pipe(server).pipe(client);
  });
  bus.listen(4222, HERE);
  bench.networkOf.set(there, network.pid ?? 0);
  bench.settingsOf.set(bench.host, { PLINTH_HOST_ADDRESS: HERE });
  bench.settingsOf.set(there, { PLINTH_HOST_ADDRESS: THERE, NATS_URL: `nats://${HERE}:4222` });
  agents = { here: bench.startAgent(), there: bench.startAgent(there) };
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
  for (const socket of sockets) socket.destroy();
  bus.close();
  const end = (): true | undefined => (JSON.stringify(present()) === JSON.stringify(before) ? true : undefined);
  await waitFor(end, 'the end of everything').catch(() => expect(present()).toEqual(before));
  network.kill('SIGKILL');
});

describe('containers of two hosts', () => {
  let one: Container;
  let far: Container;
  let foreign: Container;

  it('are reached where the heartbeats of the hosts say', async () => {
    const found = new Map<string, string | undefined>();
    const heartbeats = bench.connection.subscribe('heartbeat.host.*');
    for await (const message of heartbeats) {
      const { host, address } = message.json<HostHeartbeat>();
      if (found.set(host, address).size === 2) break;
    }
    expect([...found].sort()).toEqual([
      [bench.host, HERE],
      [there, THERE],
    ]);
  });

  it('reach each other within a tenant, and no other tenant', async () => {
    [one, far, foreign] = await Promise.all([started(bench.host, 1), started(there, 1), started(there, 2)]);
    await publish([1, 2]);
    await reaches(one, far);
    await reaches(far, one);
    expect(call(one, foreign)).toBe('');
    expect(call(foreign, one)).toBe('');
    expect(call(far, foreign)).toBe('');
  });

  it('go on to reach each other without the bus and without agents, and with what is on disk', async () => {
    bus.close();
    for (const socket of sockets) socket.destroy();
    await bench.stopAgent(agents.there, 'SIGKILL');
    expect(call(far, one)).toBe(`you are ${far.address.ipv4}`);
    expect(call(one, far)).toBe(`you are ${one.address.ipv4}`);
    // As if it had been killed in the middle of its work.
    away('ip', 'route', 'flush', 'proto', '112');
    expect(call(far, one)).toBe('');
    agents.there = bench.startAgent(there);
    await waitFor(() => (call(far, one) === '' ? undefined : true), 'the routes of the disk');
    away('ip', 'link', 'del', 'plt0');
    await waitFor(() => (call(far, one) === '' ? undefined : true), 'the tunnel that was removed');
    bus.listen(4222, HERE);
    await reaches(far, one);
  });

  it('are found at their new place with their address, after an agent was killed when it was published', async () => {
    const { address } = far;
    await removed(far, 'released');
    far = await started(bench.host, 1, {
      ...far.config,
      host: bench.host,
      generation: 10,
      runGeneration: 10,
      desired: 'running',
    });
    const near = await started(there, 1);
    await Promise.all([publish([1]), bench.stopAgent(agents.there, 'SIGKILL')]);
    agents.there = bench.startAgent(there);
    expect(far.address).toEqual(address);
    await reaches(near, far);
    await reaches(one, far);
    await reaches(one, near);
    await removed(near);
    await publish([1]);
  });

  it('leave nothing', async () => {
    await Promise.all([...containers.values()].map((container) => removed(container)));
    await publish([1, 2]);
    for (const host of [bench.host, there])
      await waitFor(
        () => (readdirSync(join(bench.hostDirectoryOf(host), 'neighbours')).length === 0 ? true : undefined),
        'the end of what is known',
      );
  });
});
