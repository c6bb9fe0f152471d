/** The resolver as a process, in a network of the test's: real sockets, dig, and name servers that do what they are set to. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import dnsPacket from 'dns-packet';
import { enterNewNetwork } from '@plinth/host-network';
import {
  askStatus,
  goneLine,
  headerLine,
  type NamedContainer,
  RESOLVER_ADDRESS6,
  type ResolverStatus,
  setLine,
} from '@plinth/names';
import { waitFor } from './testing/agent-bench.js';
import { NameServer } from './testing/name-server.js';

const PROGRAM = resolve(import.meta.dirname, '../dist/name-resolver.js');
const HOST = '192.0.2.1';
const OVER_IPV6 = ['fd00:706c:696e:ffff::53/128', 'fd00:706c:696e::a40:1/128'];

let directory: string;
let zones: string;
let resolvConf: string;
let builtAtMs = 1_000;
const processes: ChildProcess[] = [];
const servers: NameServer[] = [];

async function nameServer(address: string, answer: string | undefined): Promise<NameServer> {
  const server = await NameServer.open(address, answer);
  servers.push(server);
  return server;
}

function container(number: number, overrides: Partial<NamedContainer> = {}): NamedContainer {
  const ipv4 = `10.64.${number >> 8}.${number & 255}`;
  const ipv6 = `fd00:706c:696e::a40:${number.toString(16)}`;
  const id = number.toString(16).padStart(32, '0');
  return { id, name: `c-${number}`, tenant: 'acme', ipv4, ipv6, local: true, forwards: true, ...overrides };
}

function header(overrides: { builtAtMs?: number; program?: string } = {}): string {
  return headerLine({
    domain: 'plinth.internal',
    pools: ['10.64.0.0/10', 'fd00:706c:696e::/64'],
    resolvConf,
    program: PROGRAM,
    builtAtMs,
    ...overrides,
  });
}

const zone = (agent = 'a'): string => join(zones, `${agent}.zone`);

function write(containers: readonly NamedContainer[], agent = 'a', first = header()): void {
  mkdirSync(zones, { recursive: true });
  writeFileSync(`${zone(agent)}.new`, first + containers.map(setLine).join(''));
  renameSync(`${zone(agent)}.new`, zone(agent));
}

function start(): ChildProcess {
  const argv = ['--pdeathsig', 'KILL', '--', process.execPath, PROGRAM, zones, String(builtAtMs)];
  const child = spawn('setpriv', argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  processes.push(child);
  return child;
}

async function answering(pid?: number): Promise<ResolverStatus> {
  for (const end = Date.now() + 60_000; Date.now() < end; await delay(20)) {
    const asked = await askStatus(500);
    if (asked.kind === 'answered' && (pid === undefined || asked.status.pid === pid)) return asked.status;
  }
  throw new Error('no resolver answers');
}

/** Standard output of dig with `+short`, or what its options ask for. */
async function dig(...args: string[]): Promise<string> {
  const base = ['@169.254.1.1', '+tries=1', '+time=4'];
  const short = args.some((arg) => arg.startsWith('+noall')) ? [] : ['+short'];
  const { stdout } = await promisify(execFile)('dig', [...base, ...short, ...args]).catch(
    (error: { stdout: string }) => ({ stdout: `failed ${error.stdout}` }),
  );
  return stdout.trim();
}

const status = async (...args: string[]): Promise<string> =>
  /status: (\w+)/.exec(await dig(...args, '+noall', '+comments'))?.[1] ?? 'none';

const run = (...argv: string[]): Promise<unknown> => promisify(execFile)(argv[0] ?? '', argv.slice(1));

beforeAll(async () => {
  enterNewNetwork();
  await run('ip', 'link', 'set', 'lo', 'up');
  for (const address of [`${HOST}/32`, '169.254.1.1/32', '10.64.0.1/32', '10.64.0.2/32', '10.64.0.3/32', ...OVER_IPV6])
    await run('ip', 'address', 'add', address, 'dev', 'lo');
  directory = mkdtempSync(join(tmpdir(), 'plinth-names-'));
  // The resolver is a user of its own.
  chmodSync(directory, 0o711);
  resolvConf = join(directory, 'resolv.conf');
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

beforeEach(() => {
  zones = join(directory, 'zones');
  rmSync(zones, { recursive: true, force: true });
  writeFileSync(resolvConf, 'nameserver 127.0.0.2\n');
  builtAtMs += 1_000;
});

afterEach(async () => {
  // Also one that has taken the port from one of ours.
  rmSync(zones, { recursive: true, force: true });
  for (const child of processes.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  for (const server of servers.splice(0)) server.close();
  for (const end = Date.now() + 60_000; Date.now() < end && (await askStatus(200)).kind !== 'closed';) await delay(20);
});

describe('names', () => {
  it('are known when they are written, and end when they are taken', async () => {
    write([container(1)]);
    start();
    await answering();
    expect(await dig('c-1.acme.plinth.internal')).toBe('10.64.0.1');
    expect(await dig('-b', '10.64.0.1', 'c-1.acme.plinth.internal', 'AAAA')).toBe('fd00:706c:696e::a40:1');
    expect(await dig('-b', '10.64.0.1', '-x', '10.64.0.1')).toBe('c-1.acme.plinth.internal.');
    expect(await dig('+tcp', 'c-1.acme.plinth.internal')).toBe('10.64.0.1');
    for (let round = 4; round < 24; round += 1) {
      const next = container(round, { tenant: 'other' });
      appendFileSync(zone(), setLine(next));
      // Asked at once: it is there, as the agent lets a container go right after it has written the name.
      expect(await dig(`${next.name}.other.plinth.internal`)).toBe(next.ipv4);
      expect(await status('-b', '10.64.0.1', `${next.name}.other.plinth.internal`)).toBe('NXDOMAIN');
    }
    appendFileSync(zone(), goneLine(container(1).id));
    const name = 'c-1.acme.plinth.internal';
    for (const end = Date.now() + 60_000; (await dig(name)) !== '' && Date.now() < end;) await delay(10);
    expect(await status(name)).toBe('NXDOMAIN');
    expect(await status('-b', '10.64.0.1', 'c-4.other.plinth.internal')).toBe('REFUSED');
  });

  it('of a container are asked by itself only: another address of the host is refused', async () => {
    write([container(1)]);
    start();
    await answering();
    expect(await status('-b', HOST, 'c-1.acme.plinth.internal')).toBe('REFUSED');
    expect(await dig('-b', HOST, '+tcp', 'c-1.acme.plinth.internal')).toMatch(/^(failed|;;)/);
    expect(await status('-b', '10.64.0.1', 'resolver.plinth.invalid', 'TXT')).not.toBe('REFUSED');
    expect(await dig('-b', '10.64.0.1', 'resolver.plinth.invalid', 'TXT')).toBe('');
  });

  it('of two agents are one: each file is replaced and taken away by itself', async () => {
    write([container(1)]);
    write([container(2, { tenant: 'other' })], 'b');
    start();
    await answering();
    expect(await dig('c-2.other.plinth.internal')).toBe('10.64.0.2');
    write([container(3)], 'a');
    expect(await dig('c-3.acme.plinth.internal')).toBe('10.64.0.3');
    expect(await status('c-1.acme.plinth.internal')).toBe('NXDOMAIN');
    rmSync(zone('b'));
    for (const end = Date.now() + 60_000; (await dig('c-2.other.plinth.internal')) !== '' && Date.now() < end;)
      await delay(10);
    expect(await status('c-2.other.plinth.internal')).toBe('NXDOMAIN');
    expect(await dig('c-3.acme.plinth.internal')).toBe('10.64.0.3');
  });

  it('are ten thousand, while one is added', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => container(index + 1, { local: index < 2 }));
    write(many);
    start();
    expect((await answering()).names).toBe(10_000);
    expect(await dig('c-10000.acme.plinth.internal')).toBe('10.64.39.16');
    appendFileSync(zone(), setLine(container(10_001)));
    expect(await dig('-b', '10.64.0.1', 'c-10001.acme.plinth.internal')).toBe('10.64.39.17');
  });

  it('that are not valid are left out, and half a line waits for its end', async () => {
    write([container(1)]);
    appendFileSync(zone(), '{"id":"../../etc","name":"x"}\nnothing\n');
    const line = setLine(container(2));
    appendFileSync(zone(), line.slice(0, 50));
    start();
    await answering();
    expect(await dig('c-1.acme.plinth.internal')).toBe('10.64.0.1');
    expect(await status('c-2.acme.plinth.internal')).toBe('NXDOMAIN');
    appendFileSync(zone(), line.slice(50));
    expect(await dig('c-2.acme.plinth.internal')).toBe('10.64.0.2');
  });
});

describe('other names', () => {
  it('are forwarded, and what was not asked for is no answer', async () => {
    await nameServer('127.0.0.2', '198.51.100.2');
    write([container(1), container(2, { forwards: false })]);
    start();
    await answering();
    expect(await dig('-b', '10.64.0.1', 'www.example.com')).toBe('198.51.100.2');
    expect(await dig('-b', '10.64.0.1', '+noedns', 'WWW.Example.com')).toBe('198.51.100.2');
    expect(await dig('-b', '10.64.0.1', '+tcp', 'www.example.com')).toBe('198.51.100.2');
    // dig asks again by TCP when the answer was cut.
    expect((await dig('-b', '10.64.0.1', 'long.example.com')).split('\n')).toHaveLength(40);
    // Its container may reach nothing outside.
    expect(await status('-b', '10.64.0.2', 'www.example.com')).toBe('REFUSED');
    const { counters } = await answering();
    expect(counters).toMatchObject({ forwarded: 5, refused: 1 });
  });

  it('are asked once as long as their TTL allows, by each tenant', async () => {
    const upstream = await nameServer('127.0.0.2', '198.51.100.2');
    write([container(1), container(2), container(3, { tenant: 'other' })]);
    start();
    await answering();
    const ask = (from: string): Promise<string> => dig('-b', from, '+nocookie', 'www.example.com');
    for (const from of ['10.64.0.1', '10.64.0.2', '10.64.0.1']) expect(await ask(from)).toBe('198.51.100.2');
    expect(upstream.queries).toBe(1);
    upstream.answer = '198.51.100.3';
    expect(await ask('10.64.0.1')).toBe('198.51.100.2');
    expect(await ask('10.64.0.3')).toBe('198.51.100.3');
    // What its tenant knows is nothing to one that may reach nothing outside.
    write([container(1), container(2, { forwards: false }), container(3, { tenant: 'other' })]);
    for (const end = Date.now() + 60_000; (await ask('10.64.0.2')) !== '' && Date.now() < end;) await delay(20);
    expect(await status('-b', '10.64.0.2', '+nocookie', 'www.example.com')).toBe('REFUSED');
    expect((await answering()).counters).toMatchObject({ forwarded: 2 });
    // Other servers may have other answers.
    await nameServer('127.0.0.3', '198.51.100.9');
    writeFileSync(resolvConf, 'nameserver 127.0.0.3\n');
    for (const end = Date.now() + 60_000; (await ask('10.64.0.1')) !== '198.51.100.9' && Date.now() < end;)
      await delay(20);
    expect(await ask('10.64.0.1')).toBe('198.51.100.9');
  });

  it('are asked of the next server when one is silent or can not be reached', async () => {
    const silent = await nameServer('127.0.0.2', undefined);
    await nameServer('127.0.0.4', '198.51.100.4');
    // One to which there is no route here, one that is silent, one that answers.
    writeFileSync(resolvConf, 'nameserver 203.0.113.1\nnameserver 127.0.0.2\nnameserver 127.0.0.4\n');
    write([container(1)]);
    start();
    await answering();
    expect(await dig('www.example.com')).toBe('198.51.100.4');
    const { queries } = silent;
    for (let round = 0; round < 5; round += 1) expect(await dig('www.example.com')).toBe('198.51.100.4');
    // Servers that answer come first from then on.
    expect(silent.queries).toBe(queries);
  });

  it('follow the file when it is replaced, and fail in time when it is missing', async () => {
    rmSync(resolvConf);
    await nameServer('127.0.0.3', '198.51.100.3');
    write([container(1)]);
    start();
    await answering();
    expect(await status('www.example.com')).toBe('SERVFAIL');
    writeFileSync(resolvConf, 'nameserver 169.254.1.1\n');
    await delay(1_100);
    expect(await status('www.example.com')).toBe('SERVFAIL');
    const lines = Array.from({ length: 99 }, (_, index) => `# ${index} nameserver 192.0.2.99`);
    writeFileSync(`${resolvConf}.new`, ['nameserver 169.254.1.1', ...lines, 'nameserver 127.0.0.3'].join('\n'));
    renameSync(`${resolvConf}.new`, resolvConf);
    for (const end = Date.now() + 60_000; (await status('www.example.com')) !== 'NOERROR' && Date.now() < end;)
      await delay(100);
    expect(await dig('www.example.com')).toBe('198.51.100.3');
    expect(await dig('c-1.acme.plinth.internal')).toBe('10.64.0.1');
  });

  it('do not go in a circle when a resolver of the host asks this one', async () => {
    // Like dnsmasq whose only server is 169.254.1.1.
    let passed = 0;
    const circle = createSocket('udp4');
    circle.bind(53, '127.0.0.2');
    await once(circle, 'listening');
    circle.on('message', (bytes, { port, address }) => {
      passed += 1;
      const onward = createSocket('udp4');
      onward.on('message', (reply) => {
        circle.send(reply, port, address);
        onward.close();
      });
      onward.send(bytes, 53, '169.254.1.1');
    });
    write([container(1)]);
    start();
    await answering();
    expect(await status('-b', '10.64.0.1', 'www.example.com')).toBe('SERVFAIL');
    circle.close();
    expect(passed).toBeLessThan(10);
  });
});

describe('the process', () => {
  it('gives its port to a newer one without a query lost, and one that does not start changes nothing', async () => {
    const upstream = await nameServer('127.0.0.2', '198.51.100.2');
    upstream.delayMs = 100;
    write([container(1)]);
    const old = start();
    const { pid } = await answering();
    const broken = join(directory, 'broken.js');
    writeFileSync(broken, 'process.exit(1);');
    write([container(1)], 'a', header({ builtAtMs: builtAtMs + 1, program: broken }));
    const socket = createSocket('udp4');
    const open = new Map<number, string>();
    let sent = 0;
    socket.on('message', (bytes) => open.delete(bytes.readUInt16BE(0)));
    const ask = (name: string): void => {
      sent += 1;
      open.set(sent, name);
      const query = dnsPacket.encode({ type: 'query', id: sent, flags: 256, questions: [{ name, type: 'A' }] });
      socket.send(query, 53, '169.254.1.1');
    };
    const timer = setInterval(() => {
      for (let count = 0; count < 5; count += 1) ask('c-1.acme.plinth.internal');
      if (sent % 20 === 0) ask(`n${sent}.example.com`);
    }, 5);
    await delay(300);
    expect((await answering()).pid).toBe(pid);
    write([container(1)], 'a', header({ builtAtMs: builtAtMs + 2 }));
    let next = pid;
    for (const end = Date.now() + 60_000; next === pid && Date.now() < end; await delay(20))
      next = (await answering()).pid;
    expect(next).not.toBe(pid);
    expect((await answering(next)).builtAtMs).toBe(builtAtMs + 2);
    // TCP is answered by the new one, too.
    expect(await dig('+tcp', 'c-1.acme.plinth.internal')).toBe('10.64.0.1');
    // And IPv6.
    for (const by of ['+notcp', '+tcp'])
      expect(await dig(`@${RESOLVER_ADDRESS6}`, by, 'c-1.acme.plinth.internal')).toBe('10.64.0.1');
    await waitFor(() => (old.exitCode === null ? undefined : true), 'the end of the old resolver');
    await waitFor(() => (sent > 500 ? true : undefined), 'enough queries, however slow the machine is');
    clearInterval(timer);
    for (const end = Date.now() + 60_000; open.size > 0 && Date.now() < end;) await delay(20);
    expect([...open.values()]).toEqual([]);
    socket.close();
  });

  it('ends with the last name, and leaves what agents take away', async () => {
    write([container(1)]);
    write([container(2)], 'b');
    const child = start();
    await answering();
    rmSync(zone('a'));
    expect(await dig('c-2.acme.plinth.internal')).toBe('10.64.0.2');
    rmSync(zone('b'));
    await waitFor(() => (child.exitCode === null ? undefined : true), 'the end of the resolver');
    expect(child.exitCode).toBe(0);
    expect(readdirSync(zones)).toEqual(['resolver.pid']);
  });

  it('leaves a port that another program has', async () => {
    await nameServer('169.254.1.1', '198.51.100.9');
    write([container(1)]);
    const child = start();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(69);
    expect((await askStatus(2_000)).kind).toBe('foreign');
  });

  it('waits for its address', async () => {
    await run('ip', 'address', 'delete', '169.254.1.1/32', 'dev', 'lo');
    write([container(1)]);
    start();
    await delay(200);
    await run('ip', 'address', 'add', '169.254.1.1/32', 'dev', 'lo');
    await answering();
    expect(readFileSync(join(zones, 'resolver.pid'), 'utf8').trim()).toMatch(/^\d+$/);
  });

  // More than that is dropped before it arrives here: names.int-spec.ts.
  it('answers others while one asker asks 2,000 times a second, and keeps its memory', async () => {
    const upstream = await nameServer('127.0.0.2', undefined);
    write([container(1, { tenant: 'flood' }), container(2, { tenant: 'quiet' })]);
    start();
    const { pid } = await answering();
    const flood = createSocket('udp4');
    flood.bind(0, '10.64.0.1');
    await once(flood, 'listening');
    let id = 0;
    const timer = setInterval(() => {
      for (let count = 0; count < 4; count += 1) {
        id = (id + 1) & 0xffff;
        const name = id % 2 === 0 ? `n${id}.example.com` : 'c-1.flood.plinth.internal';
        flood.send(
          dnsPacket.encode({ type: 'query', id, flags: 256, questions: [{ name, type: 'A' }] }),
          53,
          '169.254.1.1',
        );
      }
    }, 2);
    for (let round = 0; round < 20; round += 1)
      expect(await dig('-b', '10.64.0.2', 'c-2.quiet.plinth.internal')).toBe('10.64.0.2');
    // All places of the flooding tenant's wait for an answer that never comes; another's gets one.
    upstream.answer = '198.51.100.2';
    expect(await dig('-b', '10.64.0.2', 'www.example.com')).toBe('198.51.100.2');
    clearInterval(timer);
    flood.close();
    const { counters } = await answering(pid);
    expect(counters.overloaded).toBeGreaterThan(0);
    expect(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])).toBeLessThan(200_000);
  });
});
