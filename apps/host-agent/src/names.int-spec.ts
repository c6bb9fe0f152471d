/** Names as containers see them: two agents in a network of the test's, real NATS, crun, and the C library's resolver. */
import { type ChildProcess, execFile, execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import dnsPacket from 'dns-packet';
import { enterNewNetwork } from '@plinth/host-network';
import { askStatus, RESOLVER_ADDRESS6, type ResolverStatus } from '@plinth/names';
import { namesDirectory } from './adapters/zone-file.js';
import { AgentBench, leftovers, waitFor } from './testing/agent-bench.js';

type Config = Record<string, unknown> & { containerId: string; name: string; address: { ipv4: string; ipv6: string } };

let bench: AgentBench;
let agent: ChildProcess;
let second: ChildProcess;
let there: string;
let upstream: Socket;
let scratch: string;
let last = 0;
const ids: string[] = [];
const queried: string[] = [];

function named(name: string, tenantNumber: number, overrides: Record<string, unknown> = {}): Config {
  last += 1;
  const address = { ipv4: `10.64.2.${last}`, ipv6: `fd00:706c:696e::a40:2${last.toString(16).padStart(2, '0')}` };
  const tenant = `tenant-${tenantNumber}`;
  const config = bench.config({ name, network: 'container', address, tenant, tenantNumber, ...overrides });
  ids.push(config.containerId);
  return config as Config;
}

async function started(name: string, tenantNumber: number, overrides: Record<string, unknown> = {}): Promise<Config> {
  const config = named(name, tenantNumber, overrides);
  await bench.publishConfig(config);
  await bench.report(config.containerId, 'started');
  return config;
}

async function stopped(config: Config): Promise<void> {
  await bench.publishConfig({ ...config, generation: 9, desired: 'stopped' });
  await bench.report(config.containerId, 'stopped');
}

async function removed(...configs: Config[]): Promise<void> {
  for (const config of configs) {
    await bench.publishConfig({ ...config, generation: 10, desired: 'removed', deleteData: true });
    await bench.report(config.containerId, 'removed', { host: String(config['host']) });
  }
}

async function inside({ containerId, host }: Config, ...command: string[]): Promise<string> {
  return (await bench.exec({ containerId, command }, String(host))).stdout.trim();
}

/** The addresses that programs in the container find; empty: none. */
async function lookUp(config: Config, name: string, family: 4 | 6 = 4): Promise<string> {
  const found = await inside(config, '/usr/bin/getent', family === 4 ? 'ahostsv4' : 'ahostsv6', name);
  return found.split(/\s+/)[0] ?? '';
}

async function dig(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('dig', ['@169.254.1.1', '+short', '+time=5', ...args]);
  return stdout.trim();
}

/** Another process than that of `before`. */
async function resolver(before?: number): Promise<ResolverStatus> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const asked = await askStatus(500);
    if (asked.kind === 'answered' && asked.status.pid !== before) return asked.status;
  }
  throw new Error('no resolver answers');
}

const hasEnded = (pid: number): true | undefined => (existsSync(`/proc/${pid}`) ? undefined : true);

beforeAll(async () => {
  enterNewNetwork();
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  scratch = mkdtempSync(join(tmpdir(), 'plinth-names-'));
  // The resolver reads the host's resolv.conf, and is no user that may enter root's directories.
  chmodSync(scratch, 0o711);
  writeFileSync(join(scratch, 'resolv.conf'), 'nameserver 127.0.0.2\n');
  upstream = createSocket('udp4');
  upstream.bind(53, '127.0.0.2');
  await once(upstream, 'listening');
  upstream.on('message', (bytes, { port, address }) => {
    const { id, questions = [] } = dnsPacket.decode(bytes);
    queried.push(questions[0]?.name ?? '');
    const answers = questions.flatMap(({ name, type }) =>
      type === 'A' ? [{ type: 'A' as const, name, ttl: 60, data: '198.51.100.7' }] : [],
    );
    upstream.send(dnsPacket.encode({ type: 'response', id, questions, answers }), port, address);
  });
  bench = await AgentBench.open();
  bench.settings = { PLINTH_RESOLV_CONF: join(scratch, 'resolv.conf') };
  await bench.installImage('v1');
  agent = bench.startAgent();
  there = `${bench.host}-b`;
  second = bench.startAgent(there);
});

afterAll(async () => {
  await bench.close();
  upstream.close();
  rmSync(scratch, { recursive: true, force: true });
  expect(leftovers(bench, ids)).toEqual([]);
  expect(existsSync(namesDirectory())).toBe(false);
  expect((await askStatus(500)).kind).toBe('closed');
});

describe('containers', () => {
  it('find those of their tenant by name, also of another agent, and the outside; not another tenant', async () => {
    const [one, two, other] = await Promise.all([started('web', 1), started('n'.repeat(63), 1), started('db', 2)]);
    const far = await started('far', 1, { host: there });
    expect(await inside(one, '/bin/cat', '/etc/resolv.conf')).toBe(
      'nameserver 169.254.1.1\nsearch tenant-1.plinth.internal\noptions ndots:1 timeout:2 attempts:2',
    );
    const { ipv4, ipv6 } = one.address;
    const hosts = await inside(one, '/bin/cat', '/etc/hosts');
    expect(hosts).toContain(`${ipv4} web.tenant-1.plinth.internal web\n${ipv6} web.tenant-1.plinth.internal web\n`);
    expect(hosts).not.toContain('127.0.1.1');
    // By its own name it finds its own address.
    expect(await lookUp(one, 'web')).toBe(ipv4);
    expect(await lookUp(one, two.name)).toBe(two.address.ipv4);
    expect(await lookUp(one, `${two.name}.tenant-1.plinth.internal`, 6)).toBe(two.address.ipv6);
    expect(await lookUp(one, 'FAR')).toBe(far.address.ipv4);
    expect(await lookUp(far, 'web')).toBe(ipv4);
    expect(await inside(one, '/usr/bin/getent', 'hosts', far.address.ipv4)).toMatch(/far\.tenant-1\.plinth\.internal$/);
    expect(await lookUp(other, 'web')).toBe('198.51.100.7');
    expect(await lookUp(other, 'web.tenant-1.plinth.internal')).toBe('');
    expect(await lookUp(one, 'www.example.com')).toBe('198.51.100.7');
    expect(queried).not.toContain('web.tenant-1.plinth.internal');
    // The host knows all of them.
    expect(await dig('db.tenant-2.plinth.internal')).toBe(other.address.ipv4);
    expect(await dig('-x', ipv6)).toBe('web.tenant-1.plinth.internal.');

    await stopped(one);
    expect(await dig('web.tenant-1.plinth.internal')).toBe('');
    expect(await lookUp(far, 'web.tenant-1.plinth.internal')).toBe('');
    const { pid } = await resolver();
    await removed(one, two, other, far);
    await waitFor(() => hasEnded(pid), 'the end of the resolver');
  });

  it('find a name before it is reported as started, and at its first moment their own', async () => {
    const kept = await started('kept', 1);
    const script = 'getent ahostsv4 kept > /data/found; exec sleep infinity';
    for (let round = 0; round < 5; round += 1) {
      const config = named(`next-${round}`, 1, { command: ['/bin/sh', '-c', script] });
      await bench.publishConfig(config);
      await bench.report(config.containerId, 'started');
      expect(await dig(`next-${round}.tenant-1.plinth.internal`)).toBe(config.address.ipv4);
      await expect(
        inside(config, '/bin/sh', '-c', 'until [ -s /data/found ]; do sleep 0.05; done; cat /data/found'),
      ).resolves.toContain(kept.address.ipv4);
      await removed(config);
    }
    await removed(kept);
  });
});

describe('a host whose IPv6 is switched off', () => {
  const SETTING = '/proc/sys/net/ipv6/conf/default/disable_ipv6';
  // Of the test's own network, as this thread is in that.
  afterEach(() => writeFileSync(SETTING, '0'));

  it('answers IPv4 alone, and both again when it is switched on', async () => {
    const one = await started('either', 1);
    const answers = async (expected: string): Promise<true | undefined> =>
      (await dig('either.tenant-1.plinth.internal', 'AAAA')) === expected || undefined;
    await waitFor(() => answers(one.address.ipv6), 'an answer by IPv6');
    writeFileSync(SETTING, '1');
    await waitFor(() => answers(''), 'no answer by IPv6');
    expect(await dig('either.tenant-1.plinth.internal')).toBe(one.address.ipv4);
    const late = await started('late', 1);
    expect(await inside(late, '/bin/cat', '/etc/hosts')).not.toContain(late.address.ipv6);
    writeFileSync(SETTING, '0');
    await waitFor(() => answers(one.address.ipv6), 'an answer by IPv6 again');
    await removed(one, late);
  });
});

describe('the resolver', () => {
  it('is a user of its own without any right, gains none, and is asked by IPv6, too', async () => {
    // It ends when there is no name left.
    const kept = await started('named', 1);
    const { pid } = await resolver();
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const rights = (name: string): string | undefined => new RegExp(`^${name}:\\s+(\\S+)$`, 'm').exec(status)?.[1];
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      expect([name, rights(name)]).toEqual([name, '0000000000000000']);
    expect(rights('NoNewPrivs')).toBe('1');
    const ids = (name: string): string => new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
    const byIpv6 = `echo nameserver ${RESOLVER_ADDRESS6} > /etc/resolv.conf; getent ahostsv4 www.example.com`;
    expect(await inside(kept, '/bin/sh', '-c', byIpv6)).toMatch(/^198\.51\.100\.7 /);
    expect(await dig(`@${RESOLVER_ADDRESS6}`, 'named.tenant-1.plinth.internal')).toBe(kept.address.ipv4);
    expect([ids('Uid'), ids('Gid'), ids('Groups')]).toEqual([
      ...Array<string>(2).fill('65530\t65530\t65530\t65530'),
      '',
    ]);
    await removed(kept);
  });

  it('outlives its agents, and its death is mended', async () => {
    const one = await started('one', 1);
    const two = await started('two', 1, { host: there });
    const first = await resolver();
    await Promise.all([bench.stopAgent(agent, 'SIGKILL'), bench.stopAgent(second, 'SIGKILL')]);
    expect(await dig('one.tenant-1.plinth.internal')).toBe(one.address.ipv4);
    const { sequence } = await bench.report(one.containerId, 'started');
    agent = bench.startAgent();
    second = bench.startAgent(there);
    await bench.report(one.containerId, 'started', { after: sequence });
    expect((await resolver()).pid).toBe(first.pid);
    expect(await lookUp(one, 'two')).toBe(two.address.ipv4);

    process.kill(first.pid, 'SIGKILL');
    const next = await resolver(first.pid);
    expect(await dig('two.tenant-1.plinth.internal')).toBe(two.address.ipv4);

    // One that hangs is ended.
    process.kill(next.pid, 'SIGSTOP');
    const third = await resolver(next.pid);
    expect(hasEnded(next.pid)).toBe(true);
    expect(await lookUp(two, 'one')).toBe(one.address.ipv4);

    // The other agent's names stay when those of this one are gone.
    await removed(one);
    expect(await dig('two.tenant-1.plinth.internal')).toBe(two.address.ipv4);
    expect(await dig('one.tenant-1.plinth.internal')).toBe('');
    rmSync(namesDirectory(), { recursive: true, force: true });
    await resolver(third.pid);
    expect(await dig('two.tenant-1.plinth.internal')).toBe(two.address.ipv4);
    await removed(two);
  });

  it('answers others while a container sends all that it can', async () => {
    const quiet = await started('quiet', 1);
    const query = dnsPacket.encode({
      type: 'query',
      id: 1,
      flags: 256,
      questions: [{ name: 'www.example.com', type: 'A' }],
    });
    const flooding = `use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '169.254.1.1', PeerPort => 53);
      my $q = pack('H*', '${query.toString('hex')}'); while (1) { $s->send($q) }`;
    const flood = await started('flood', 2, { command: ['/usr/bin/perl', '-e', flooding] });
    for (let round = 0; round < 20; round += 1) {
      expect(await lookUp(quiet, 'quiet.tenant-1.plinth.internal.')).toBe(quiet.address.ipv4);
      expect(await lookUp(quiet, `r${round}.example.com`)).toBe('198.51.100.7');
    }
    const counters = execFileSync('nft', ['list', 'counters'], { encoding: 'utf8' });
    // The other agent's table may still be there, with a counter of the same name.
    const dropped = [...counters.matchAll(/counter queries \{\s+packets (\d+)/g)].map(([, packets]) => Number(packets));
    expect(Math.max(...dropped)).toBeGreaterThan(1_000);
    // Queries are not tracked: the table of connections stays as it is.
    expect(readFileSync('/proc/self/net/nf_conntrack', 'utf8')).not.toMatch(/dst=169\.254\.1\.1 \S+ dport=53/);
    await removed(quiet, flood);
  });
});
