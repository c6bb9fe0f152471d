/** Containers in a network of CNI: Debian's plugins, an agent in a network namespace of the test's, NATS and crun. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { instanceName } from '@plinth/container-runtime';
import type { ContainerReport } from '@plinth/contracts';
import { enterNewNetwork } from '@plinth/host-network';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

/** An address of the host that is not its loopback's. */
const HOST = '192.0.2.1';
const SERVER = `use IO::Socket::INET; $SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
  next if fork;
  while (my $line = <$client>) { if ($line =~ /^\\r?$/) { $client->send("you are " . $client->peerhost); last } }
  exit;
}`;
const REQUEST = 'exec 3<>/dev/tcp/$0/$1 && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3';
/** A plugin that does what a file says. */
const MEDDLER = `#!${process.execPath}
const fs = require('fs');
if (process.env.CNI_COMMAND === 'VERSION') {
  console.log('{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}');
  process.exit();
}
const { prevResult, directory } = JSON.parse(fs.readFileSync(0, 'utf8'));
const at = (name) => directory + '/' + name;
const does = fs.existsSync(at('does')) ? fs.readFileSync(at('does'), 'utf8') : '';
fs.appendFileSync(at('calls'), process.env.CNI_COMMAND + ' ' + process.env.CNI_CONTAINERID + '\\n');
const end = () => process.env.CNI_COMMAND === 'ADD' && console.log(JSON.stringify(prevResult));
if (does === process.env.CNI_COMMAND + ' fails') {
  console.log(JSON.stringify({ cniVersion: '1.0.0', code: 100, msg: 'no room left', details: 'on the shelf' }));
  process.exitCode = 1;
} else if (process.env.CNI_COMMAND !== 'ADD') end();
else if (does === 'prints garbage') console.log('{"ips": [');
else if (does === 'hangs') {
  const { pid } = require('child_process').spawn('sleep', ['600']);
  fs.writeFileSync(at('hanging'), process.pid + ' ' + pid);
  setInterval(() => {}, 1000);
} else if (does === 'waits') {
  fs.writeFileSync(at('waiting'), '');
  setInterval(() => fs.existsSync(at('go')) && process.exit(end()), 20);
} else end();
`;

type Config = Record<string, unknown> & { containerId: string };

let bench: AgentBench;
let agent: ChildProcess;
let directory: string;
let last = 0;
const ids: string[] = [];

function networked(overrides: Record<string, unknown> = {}): Config {
  last += 1;
  const address = { ipv4: `10.64.1.${last}`, ipv6: `fd00:706c:696e::a40:1${last.toString(16).padStart(2, '0')}` };
  const command = ['/usr/bin/perl', '-e', SERVER];
  const config = bench.config({ network: 'container', address, tenantNumber: 1, command, ...overrides });
  ids.push(config.containerId);
  return config;
}

async function started(config = networked()): Promise<{ config: Config; address: string; report: ContainerReport }> {
  await bench.publishConfig(config);
  const report = await bench.report(config.containerId, 'started');
  const address = report.addresses?.[0] ?? '';
  await answers(address);
  return { config, address, report };
}

async function answers(address: string, port = 80): Promise<string> {
  return waitFor(() => curl(address, port), 'the server in the container');
}

function curl(address: string, port = 80): string | undefined {
  try {
    const argv = ['5', 'bash', '-c', REQUEST, address, String(port)];
    return execFileSync('timeout', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

async function runIn({ containerId }: Config, ...command: string[]): Promise<string> {
  return (await bench.exec({ containerId, command })).stdout;
}

async function removed(config: Config): Promise<void> {
  await bench.publishConfig({ ...config, generation: 9, desired: 'removed', deleteData: true });
  await bench.report(config.containerId, 'removed');
}

const shell = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
const leases = (): string[] => readdirSync(join(directory, 'leases/shop-net')).filter((name) => /^\d/.test(name));
/** All that plugins leave on a host. */
const traces = (): unknown => ({
  // The index of the other end is that of a namespace.
  links: shell('ip -br link')
    .split('\n')
    .map((line) => line.split(/[@\s]/)[0])
    .sort(),
  rules: shell('iptables-save; ip6-tables-save 2>/dev/null || true')
    .split('\n')
    .filter((line) => /^-A|^:/.test(line)),
  leases: leases(),
  namespaces: shell(`grep -c /run/plinth/cni/${instance()}/ /proc/mounts || true`).trim(),
  files: readdirSync(join(bench.hostDirectory, 'cni')),
});
const instance = (): string => instanceName(`${bench.hostDirectory}/runtime`);
const meddle = (does: string): void => writeFileSync(join(directory, 'does'), does);

let before: unknown;

beforeAll(async () => {
  enterNewNetwork();
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  execFileSync('ip', ['address', 'add', `${HOST}/32`, 'dev', 'lo']);
  bench = await AgentBench.open();
  await bench.installImage('v1');
  directory = join(bench.directory, 'cni');
  mkdirSync(join(directory, 'plugins'), { recursive: true });
  writeFileSync(join(directory, 'plugins/meddler'), MEDDLER);
  chmodSync(join(directory, 'plugins/meddler'), 0o755);
  writeFileSync(
    join(directory, 'shop.conflist'),
    JSON.stringify({
      cniVersion: '1.0.0',
      name: 'shop-net',
      plugins: [
        {
          type: 'bridge',
          bridge: 'shop0',
          isGateway: true,
          ipMasq: true,
          ipam: {
            type: 'host-local',
            dataDir: join(directory, 'leases'),
            ranges: [[{ subnet: '10.99.0.0/24' }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
          dns: { nameservers: ['192.0.2.53'], search: ['shop.example'] },
        },
        { type: 'meddler', directory },
        { type: 'portmap', capabilities: { portMappings: true }, snat: true },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
      ],
    }),
  );
  bench.settings = {
    PLINTH_CNI_CONFIG: join(directory, 'shop.conflist'),
    PLINTH_CNI_PATH: `${join(directory, 'plugins')}:/usr/lib/cni`,
    PLINTH_CNI_TIMEOUT_SECONDS: '10',
  };
  agent = bench.startAgent();
  // The bridge and the chains that all containers share stay.
  const first = await started(networked({ ports: [{ protocol: 'tcp', hostPort: 8079, containerPort: 80 }] }));
  await removed(first.config);
  before = traces();
});

afterAll(async () => {
  await bench.close();
  expect(leftovers(bench, ids)).toEqual([]);
  expect(existsSync(`/run/plinth/cni/${instance()}`)).toBe(false);
  // Rules end with the test's network; leases and interfaces of containers are gone before.
  expect(shell('ip -br link').match(/veth|bwp/)).toBeNull();
});

describe('a container', () => {
  it('has the addresses, names, ports and limits that the plugins give, and leaves nothing', async () => {
    const ports = [{ protocol: 'tcp', hostPort: 8080, containerPort: 80 }];
    const bandwidth = { receiveBitsPerSecond: 8_000_000, sendBitsPerSecond: 4_000_000 };
    const web = await started(networked({ ports, bandwidth }));
    const other = await started();
    expect(web.address).toMatch(/^10\.99\.0\.\d+$/);
    expect(await runIn(other.config, '/bin/bash', '-c', REQUEST, web.address, '80')).toBe(`you are ${other.address}`);
    expect(await answers(HOST, 8080)).toMatch(/^you are /);
    expect(await runIn(web.config, '/bin/cat', '/etc/hosts')).toContain(`${web.address} shop-1\n`);
    expect(await runIn(web.config, '/bin/cat', '/etc/resolv.conf')).toBe(
      'nameserver 192.0.2.53\nsearch shop.example\n',
    );
    const limits = shell('tc qdisc show');
    expect(limits).toMatch(/dev veth\S+ root .*rate 8Mbit/);
    expect(limits).toMatch(/dev bwp\S+ root .*rate 4Mbit/);
    expect(leases().sort()).toEqual([web.address, other.address].sort());
    await removed(web.config);
    await removed(other.config);
    expect(traces()).toEqual(before);
  });

  it('has one lease, whether its process dies, its agent, or both', async () => {
    const { config, report } = await started(networked({ restart: { policy: 'always' } }));
    process.kill(report.pid ?? 0, 'SIGKILL');
    const again = await bench.report(config.containerId, 'started', { after: report.sequence });
    expect(leases()).toEqual(again.addresses);
    await bench.stopAgent(agent, 'SIGKILL');
    agent = bench.startAgent();
    const taken = await bench.report(config.containerId, 'started', { after: again.sequence });
    expect(taken).toMatchObject({ pid: again.pid, addresses: again.addresses });
    await bench.stopAgent(agent, 'SIGKILL');
    process.kill(again.pid ?? 0, 'SIGKILL');
    agent = bench.startAgent();
    const restarted = await bench.report(config.containerId, 'started', { after: taken.sequence });
    expect(leases()).toEqual(restarted.addresses);
    await removed(config);
    expect(traces()).toEqual(before);
  });

  it('that needs an egress policy is not started', async () => {
    const config = networked({ egress: { policy: 'none' } });
    await bench.publishConfig(config);
    expect(await bench.report(config.containerId, 'failed')).toMatchObject({
      reason: 'network-unavailable',
      message: expect.stringContaining('egress policy'),
    });
    await removed(config);
  });
});

describe('a plugin', () => {
  it('that is at work when the agent is killed is waited for, and what it made is removed', async () => {
    meddle('waits');
    const config = networked();
    await bench.publishConfig(config);
    await waitFor(() => existsSync(join(directory, 'waiting')) || undefined, 'the plugin');
    await bench.stopAgent(agent, 'SIGKILL');
    expect(leases()).toHaveLength(1);
    meddle('');
    agent = bench.startAgent();
    writeFileSync(join(directory, 'go'), '');
    const { addresses } = await bench.report(config.containerId, 'started');
    expect(leases()).toEqual(addresses);
    await removed(config);
    expect(traces()).toEqual(before);
  });

  it.each([
    ['ADD fails', 'the plugin meddler failed at ADD: no room left: on the shelf'],
    ['prints garbage', 'the plugin meddler failed at ADD: it printed no JSON: {"ips": ['],
    ['hangs', 'the plugin meddler failed at ADD: it did not end within 10 s'],
  ])('that %s fails the start, leaves nothing, and is tried again', async (does, message) => {
    meddle(does);
    const config = networked();
    await bench.publishConfig(config);
    const failed = await bench.report(config.containerId, 'failed', { reason: 'network-failed' });
    expect(failed.message).toBe(message);
    meddle('');
    if (does === 'hangs')
      for (const pid of readFileSync(join(directory, 'hanging'), 'utf8').split(' '))
        expect(shell(`cat /proc/${pid}/stat 2>/dev/null || true`)).not.toMatch(/\) [RS] /);
    await bench.report(config.containerId, 'started', { after: failed.sequence });
    expect(leases()).toHaveLength(1);
    await removed(config);
    expect(traces()).toEqual(before);
  });

  it('that fails at DEL is run again until it does not', async () => {
    const { config } = await started();
    meddle('DEL fails');
    await removed(config);
    rmSync(join(directory, 'calls'));
    meddle('');
    await waitFor(() => JSON.stringify(traces()) === JSON.stringify(before) || undefined, 'the end of all traces');
    expect(readFileSync(join(directory, 'calls'), 'utf8')).toContain(`DEL ${config.containerId}`);
  });
});

it('is refused by an agent when its configuration can not be used, or containers have another network', async () => {
  const { config } = await started();
  await bench.stopAgent(agent);
  const refused = async (settings: NodeJS.ProcessEnv): Promise<void> => {
    bench.settingsOf.set(bench.host, settings);
    const [code] = (await once(bench.startAgent(), 'exit')) as [number];
    bench.settingsOf.delete(bench.host);
    expect(code).toBe(78);
  };
  writeFileSync(
    join(directory, 'bad.conflist'),
    '{"cniVersion": "1.0.0", "name": "bad", "plugins": [{"type": "../sh"}]}',
  );
  await refused({ PLINTH_CNI_CONFIG: join(directory, 'bad.conflist') });
  await refused({ PLINTH_CNI_PATH: join(directory, 'plugins') });
  await refused({ PLINTH_CNI_CONFIG: undefined });
  agent = bench.startAgent();
  await removed(config);
  expect(traces()).toEqual(before);
});
