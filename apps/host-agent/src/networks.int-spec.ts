/** Containers with a network of their own: two agents in a network namespace of the test's, real NATS and crun. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { desiredTenantEgress, type HostHeartbeat, hostHeartbeat } from '@plinth/contracts';
import { instanceName } from '@plinth/container-runtime';
import { enterNewNetwork, networkNames, ownRateOf } from '@plinth/host-network';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

/** An address of the host that is not its loopback's. */
const HOST = '192.0.2.1';
const OUTSIDE = '203.0.113.0/24';
/** Answers lines that begin with "echo", and HTTP requests with the address of the client. */
const SERVER = `use IO::Socket::INET; $SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  next if fork;
  while (my $line = <$client>) {
    if ($line =~ /^echo/) { $client->send($line); next }
    if ($line =~ /^\\r?$/) { $client->send("HTTP/1.0 200 OK\\r\\n\\r\\nyou are " . $client->peerhost); last }
  }
  exit;
}`;

/** Pairs of interfaces that an agent keeps for containers to come. */
const READY = 4;

type Config = Record<string, unknown> & { containerId: string; address: { ipv4: string; ipv6: string } };

let bench: AgentBench;
let agent: ChildProcess;
let second: ChildProcess;
let there: string;
let last = 0;
const ids: string[] = [];

function networked(tenantNumber: number, overrides: Record<string, unknown> = {}): Config {
  last += 1;
  const address = { ipv4: `10.64.1.${last}`, ipv6: `fd00:706c:696e::a40:1${last.toString(16).padStart(2, '0')}` };
  const tenant = `tenant-${tenantNumber}`;
  const command = ['/usr/bin/perl', '-e', SERVER];
  const config = bench.config({ network: 'container', address, tenant, tenantNumber, command, ...overrides });
  ids.push(config.containerId);
  return config as Config;
}

async function started(tenantNumber: number, overrides: Record<string, unknown> = {}): Promise<Config> {
  const config = networked(tenantNumber, overrides);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  await answers(config);
  return config;
}

/** From the host every container can be reached. */
async function answers({ address }: Config): Promise<void> {
  await waitFor(() => (curl(address.ipv4) === undefined ? undefined : true), 'the server in the container');
}

const REQUEST = 'exec 3<>/dev/tcp/$0/$1 && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && tail -n 1 <&3';

function curl(address: string, port = 80): string | undefined {
  try {
    const argv = ['2', 'bash', '-c', REQUEST, address, String(port)];
    return execFileSync('timeout', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

async function curlIn({ containerId }: Config, address: string, port = 80): Promise<string> {
  const command = ['/usr/bin/timeout', '2', '/bin/bash', '-c', REQUEST, address, String(port)];
  return (await bench.exec({ containerId, command })).stdout;
}

const table = (host = bench.host): string => networkNames(instanceName(`${bench.hostDirectoryOf(host)}/runtime`)).table;
const links = (): string[] => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).trim().split('\n');
const tables = (): string => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });

/** Addresses that the rules know as sources of containers. */
function sources(): string[] {
  const text = execFileSync('nft', ['list', 'map', 'inet', table(), 'tenant4'], { encoding: 'utf8' });
  return [...text.matchAll(/" \. ([\d.]+) :/g)].map(([, address = '']) => address).sort();
}

async function removed(...configs: Config[]): Promise<void> {
  for (const config of configs) {
    await bench.publishConfig({ ...config, generation: 9, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed', { host: String(config['host']) });
  }
}

interface Kernel {
  readonly links: string[];
  readonly routes: string;
  readonly addresses: string;
  readonly tables: string;
}
const kernel = (): Kernel => ({
  links: links(),
  routes: execFileSync('sh', ['-c', 'ip route; ip -6 route'], { encoding: 'utf8' }),
  addresses: execFileSync('ip', ['-o', 'address'], { encoding: 'utf8' }),
  tables: tables(),
});
let before: Kernel;

beforeAll(async () => {
  enterNewNetwork();
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  execFileSync('ip', ['address', 'add', `${HOST}/32`, 'dev', 'lo']);
  // What is sent outward is routed here, and nobody answers.
  execFileSync('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1']);
  for (const name of ['up0', 'up1']) execFileSync('ip', ['link', 'set', name, 'up', 'addrgenmode', 'none']);
  execFileSync('ip', ['route', 'add', OUTSIDE, 'dev', 'up0']);
  // The kernel reports the carrier of a cable some time after both ends are up.
  await waitFor(
    () => (links().filter((line) => / up\d@.* state UP /.test(line)).length === 2 ? true : undefined),
    'both ends of the cable',
  );
  before = kernel();
  bench = await AgentBench.open();
  await bench.installImage('v1');
  agent = bench.startAgent();
  there = `${bench.host}-b`;
  second = bench.startAgent(there);
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
  await waitFor(() => (links().length === before.links.length ? true : undefined), 'the end of all interfaces');
  expect(kernel()).toEqual(before);
});

describe('two tenants', () => {
  it('reach their own containers, here and on another agent, and not those of the other', async () => {
    const [one, two, other] = await Promise.all([started(1), started(1), started(2)]);
    const far = await started(1, { host: there });
    for (const [from, to] of [
      [one, two],
      [two, one],
      [one, far],
    ] as const)
      expect(await curlIn(from, to.address.ipv4)).toBe(`you are ${from.address.ipv4}`);
    expect(await curlIn(other, one.address.ipv4)).toBe('');
    expect(await curlIn(one, other.address.ipv4)).toBe('');
    expect(await curlIn(other, far.address.ipv4)).toBe('');
    // The bus is on every address of this host.
    const bus = Number(new URL(bench.connection.getServer().replace(/^(?!nats)/, 'nats://')).port);
    expect(await curlIn(one, HOST, bus)).toBe('');
    expect(await curlIn(one, '169.254.169.254')).toBe('');
    await removed(one, two, other, far);
    await waitFor(() => (tables() === '' ? true : undefined), 'the end of the rules');
  });
});

describe('a published port', () => {
  it('answers HTTP requests, and an open connection outlives the agent', async () => {
    const web = await started(1, { ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }] });
    const response = await fetch(`http://${HOST}:8080/`);
    expect(await response.text()).toBe(`you are ${HOST}`);
    const open = connect(8080, HOST);
    expect(await echo(open, 'echo before\n')).toBe('echo before\n');
    const { sequence } = await bench.report(web.containerId, 'started');

    await bench.stopAgent(agent, 'SIGKILL');
    expect(await echo(open, 'echo without an agent\n')).toBe('echo without an agent\n');
    agent = bench.startAgent();
    await bench.report(web.containerId, 'started', { after: sequence });
    expect(await echo(open, 'echo after\n')).toBe('echo after\n');
    expect(curl(HOST, 8080)).toBe(`you are ${HOST}`);

    const taken = networked(1, { ports: [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }] });
    await bench.publishConfig(taken);
    expect(await bench.report(taken.containerId, 'failed')).toMatchObject({
      reason: 'port-taken',
      message: `tcp . 8080 belongs to container ${web.containerId} on this host`,
    });
    open.destroy();
    await removed(web, taken);
  });

  it('comes and goes while the container runs, also from one container to another, and connections go on', async () => {
    const port = (hostPort: number): object => ({ protocol: 'tcp', hostPort, containerPort: 80 });
    const [one, two] = await Promise.all([started(1, { ports: [port(8081)] }), started(1)]);
    const before = await bench.report(one.containerId, 'started');
    const open = connect(8081, HOST);
    expect(await echo(open, 'echo before\n')).toBe('echo before\n');
    expect(curl(HOST, 8082)).toBeUndefined();
    await bench.publishConfig({ ...one, generation: 2, ports: [port(8081), port(8082)], egress: { policy: 'none' } });
    const changed = await bench.report(one.containerId, 'started', { after: before.sequence });
    expect(changed).toMatchObject({ generation: 2, pid: before.pid });
    expect(changed.pending).toBeUndefined();
    expect(curl(HOST, 8082)).toBe(`you are ${HOST}`);
    expect(await echo(open, 'echo after\n')).toBe('echo after\n');

    // The one that gets the port hears of it before the one that gives it up.
    await bench.publishConfig({ ...two, generation: 2, ports: [port(8082)] });
    await bench.publishConfig({ ...one, generation: 3, ports: [port(8081)] });
    await bench.report(one.containerId, 'started', { after: changed.sequence });
    const taken = await bench.report(two.containerId, 'started', {
      after: (await bench.report(two.containerId, 'started')).sequence,
    });
    expect(taken.pending).toBeUndefined();
    expect(curl(HOST, 8082)).toBe(`you are ${HOST}`);
    expect(await echo(open, 'echo in the end\n')).toBe('echo in the end\n');
    open.destroy();
    await removed(one, two);
  });

  async function echo(socket: Socket, line: string): Promise<string> {
    socket.write(line);
    const [data] = (await once(socket, 'data')) as [Buffer];
    return data.toString();
  }
});

describe('rules', () => {
  it('are those of the containers that run, wherever the agent was killed in a start', async () => {
    const kept = await started(1);
    const configs: Config[] = [kept];
    for (const delayMs of [8, 14, 20, 26, 32]) {
      const config = networked(1);
      configs.push(config);
      await bench.publishConfig(config);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await bench.stopAgent(agent, 'SIGKILL');
      agent = bench.startAgent();
      await bench.report(config.containerId, 'started');
      await answers(config);
      expect(await curlIn(kept, config.address.ipv4)).toBe(`you are ${kept.address.ipv4}`);
    }
    const expected = configs.map(({ address }) => address.ipv4).sort();
    expect(sources()).toEqual(expected);
    // Others are ready for containers to come, and those of an agent that was killed have ended with it.
    const areOfAgent = (): boolean => {
      const all = links().filter((line) => line.includes('plc'));
      const owned = all.filter((line) => / alias /.test(line));
      return owned.length === configs.length && all.length - owned.length <= READY;
    };
    await waitFor(() => (areOfAgent() ? true : undefined), 'one interface for each container');
    await removed(...configs.slice(1));
    expect(sources()).toEqual([kept.address.ipv4]);
    execFileSync('nft', ['flush', 'ruleset']);
    await waitFor(() => (tables().includes(table()) ? true : undefined), 'the rules that were flushed');
    expect(sources()).toEqual([kept.address.ipv4]);
    await removed(kept);
  });

  it('stay those of an agent that starts again on a host which has got a route into their network', async () => {
    const config = await started(1);
    const route = ['10.99.7.0/24', 'dev', 'up0'];
    execFileSync('ip', ['route', 'add', ...route]);
    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    const other = await started(1);
    expect(await curlIn(config, other.address.ipv4)).toBe(`you are ${config.address.ipv4}`);
    execFileSync('ip', ['route', 'delete', ...route]);
    await removed(config, other);
  });

  it('are those of the run of a container that was started again', async () => {
    const config = await started(1, { restart: { policy: 'always' } });
    const first = await bench.report(config.containerId, 'started');
    process.kill(first.pid ?? 0, 'SIGKILL');
    const again = await bench.report(config.containerId, 'started', { after: first.sequence });
    expect(again.pid).not.toBe(first.pid);
    await answers(config);
    expect(sources()).toEqual([config.address.ipv4]);
    await removed(config);
  });
});

describe('the network of a container that is started again', () => {
  /** Number and name; the kernel keeps the container's id with it. */
  const linkOf = ({ containerId }: Config): string | undefined =>
    /^\d+: \w+/.exec(links().find((line) => line.includes(containerId)) ?? '')?.[0];
  async function startedAgain(config: Config, changed: Record<string, unknown>): Promise<number> {
    const generation = Number(config['generation']) + 1;
    Object.assign(config, { generation, runGeneration: generation, ...changed });
    await bench.publishConfig(config);
    return (await bench.report(config.containerId, 'started', { generation })).pid ?? 0;
  }

  it('is the one that it had, with the ports, the limits and the policy of its changed config', async () => {
    const config = networked(1, { command: ['/bin/sleep', '1000'] });
    await bench.publishConfig(config);
    const { pid } = await bench.report(config.containerId, 'started');
    const link = linkOf(config);
    expect(link).toMatch(/plc/);
    const again = await startedAgain(config, {
      command: ['/usr/bin/perl', '-e', SERVER],
      ports: [{ protocol: 'tcp', hostPort: 8083, containerPort: 80 }],
      bandwidth: { sendBitsPerSecond: 4_000_000 },
    });
    expect(again).not.toBe(pid);
    expect(linkOf(config)).toBe(link);
    expect(ownRateOf(again)?.bitsPerSecond).toBe(4_000_000);
    await answers(config);
    expect(curl(HOST, 8083)).toBe(`you are ${HOST}`);
    expect(sources()).toEqual([config.address.ipv4]);
    await removed(config);
  });

  it('is a new one after connections that are still closing: their ports are free', async () => {
    const command = ['/usr/bin/perl', '-e', SERVER.replace('ReuseAddr => 1', '')];
    const config = await started(1, { command });
    const link = linkOf(config);
    const pid = await startedAgain(config, {});
    await answers(config);
    expect(linkOf(config)).not.toBe(link);
    expect(bench.alive(config.containerId)).toContain(pid);
    await removed(config);
  });

  it('is one, also when its agent was killed while it stopped', async () => {
    // Its first process ignores the signal.
    const config = networked(1, { command: ['/bin/sleep', '1000'], stopGraceSeconds: 600, stopSignal: 'SIGURG' });
    await bench.publishConfig(config);
    const { sequence } = await bench.report(config.containerId, 'started');
    await bench.publishConfig({ ...config, generation: 2, runGeneration: 2 });
    await bench.report(config.containerId, 'stopping');
    await bench.stopAgent(agent, 'SIGKILL');
    await bench.publishConfig({ ...config, generation: 3, runGeneration: 2, stopGraceSeconds: 0 });
    agent = bench.startAgent();
    await bench.report(config.containerId, 'started', { after: sequence, generation: 3 });
    await waitFor(
      () => (links().filter((line) => line.includes(config.containerId)).length === 1 ? true : undefined),
      'one interface',
    );
    expect(sources()).toEqual([config.address.ipv4]);
    await removed(config);
  });
});

describe('the egress policy of a tenant', () => {
  const dropped = (): number =>
    Number(
      /packets (\d+)/.exec(
        execFileSync('nft', ['list', 'counter', 'inet', table(), 'egress'], { encoding: 'utf8' }),
      )?.[1],
    );
  const isDropped = async (config: Config, port: number): Promise<boolean> => {
    const before = dropped();
    await curlIn(config, '203.0.113.1', port);
    return dropped() > before;
  };
  const stored = (): string[] => readdirSync(`${bench.hostDirectoryOf(bench.host)}/policies`);
  const publish = (policy?: Record<string, unknown>) =>
    bench.publishDesired(desiredTenantEgress(bench.host, 5), { tenant: 'tenant-5', tenantNumber: 5, policy });
  /** A heartbeat says that it is in effect. */
  async function inEffect(revision: number): Promise<void> {
    for await (const beat of bench.connection.subscribe(hostHeartbeat(bench.host))) {
      const found = beat.json<HostHeartbeat>().tenantPolicies?.find(({ tenantNumber }) => tenantNumber === 5);
      if (found?.revision === revision) return;
    }
  }

  it('comes with a container, changes while it runs, and after the agent was killed and was away', async () => {
    const one = await started(5, { tenantPolicy: { policy: 'none', revision: 3 } });
    expect(await isDropped(one, 80)).toBe(true);
    let isThere = inEffect(4);
    await publish({ policy: 'allow', revision: 2 });
    await publish({ policy: 'list', to: [{ network: OUTSIDE, ports: ['80'] }], revision: 4 });
    await isThere;
    expect(await isDropped(one, 80)).toBe(false);
    expect(await isDropped(one, 81)).toBe(true);

    await bench.stopAgent(agent, 'SIGKILL');
    await publish({ policy: 'none', revision: 5 });
    isThere = inEffect(5);
    agent = bench.startAgent();
    await isThere;
    expect(await isDropped(one, 80)).toBe(true);
    expect(stored()).toEqual(['5.json']);
    // Its own policy can't widen it, and one that comes with a config is older.
    await bench.publishConfig({ ...one, generation: 2, egress: { policy: 'allow' } });
    await bench.report(one.containerId, 'started', { generation: 2 });
    expect(await isDropped(one, 80)).toBe(true);

    // The message that it serves the tenant no more is not believed while it does.
    await publish();
    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    await inEffect(5);
    expect(await isDropped(one, 80)).toBe(true);
    await removed(one);
    await publish();
    await waitFor(() => (stored().length === 0 ? true : undefined), 'the end of the policy');
  });
});

describe('a bandwidth', () => {
  it('is that of the config, which may change while the container runs and while no agent does', async () => {
    const bandwidth = { receiveBitsPerSecond: 8_000_000, sendBitsPerSecond: 4_000_000 };
    const slow = await started(1, { bandwidth });
    const { pid = 0 } = await bench.report(slow.containerId, 'started');
    const sends = (rate: number): Promise<true> =>
      waitFor(() => (ownRateOf(pid)?.bitsPerSecond === rate ? true : undefined), `a rate of ${rate}`);
    await sends(4_000_000);
    expect(execFileSync('tc', ['qdisc', 'show'], { encoding: 'utf8' })).toMatch(/ rate 8Mbit /);
    await bench.publishConfig({ ...slow, generation: 2, bandwidth: { sendBitsPerSecond: 16_000_000 } });
    await sends(16_000_000);
    expect(execFileSync('tc', ['qdisc', 'show'], { encoding: 'utf8' })).not.toContain('tbf');
    await bench.stopAgent(agent, 'SIGKILL');
    await bench.publishConfig({ ...slow, generation: 3, bandwidth: { ...bandwidth, sendBitsPerSecond: 1_000_000 } });
    agent = bench.startAgent();
    await sends(1_000_000);
    expect(bench.alive(slow.containerId)).toContain(pid);
    await removed(slow);
    await waitFor(() => (tables() === '' ? true : undefined), 'the end of the rules');
  });
});

it('is refused by an agent whose host has a route into the pool', async () => {
  execFileSync('ip', ['route', 'add', '10.0.0.0/8', 'dev', 'lo']);
  await bench.stopAgent(second);
  second = bench.startAgent(there);
  const [code] = (await once(second, 'exit')) as [number];
  execFileSync('ip', ['route', 'delete', '10.0.0.0/8']);
  expect(code).toBe(78);
});
