/** Limits of bandwidth on the real kernel, in a network of its own, by real transfers. Needs root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { BandwidthLimit } from './container-network.js';
import { HostNetwork } from './host-network.js';
import type { Repairs, RunningNetwork } from './placed-containers.js';
import { ownRateOf } from './link-rates.js';
import { enterNewNetwork } from './network-namespace.js';

const MBIT = 1_000_000;
const children: ChildProcess[] = [];
let agent: HostNetwork;
let last = 0;

const tc = (...words: string[]): string => execFileSync('tc', words, { encoding: 'utf8' });

/** Reads `size` bytes and answers, or sends `size` bytes, as the first line asks. */
const SERVER = `require('node:net').createServer((socket) => {
  let wanted; let seen = 0;
  socket.on('error', () => {});
  socket.on('data', (data) => {
    if (wanted === undefined) {
      const line = data.subarray(0, data.indexOf(10)).toString();
      data = data.subarray(line.length + 1);
      wanted = Number(line.split(' ')[1]);
      if (line.startsWith('give')) socket.end(Buffer.alloc(wanted));
      else socket.write('go');
    }
    seen += data.length;
    if (seen >= wanted) socket.end('done');
  });
}).listen(80, '::', () => console.log('ready'));`;

async function start(file: string, ...argv: string[]): Promise<number> {
  const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  for await (const text of child.stdout) if (String(text).includes('ready')) break;
  return child.pid ?? 0;
}

async function attached(bandwidth?: BandwidthLimit): Promise<RunningNetwork> {
  last += 1;
  const made: RunningNetwork = {
    containerId: last.toString(16).padStart(32, '0'),
    ipv4: `10.64.0.${last}`,
    ipv6: `fd00:706c:696e::a40:${last.toString(16)}`,
    tenant: 1,
    ports: [],
    egress: { policy: 'allow' },
    bandwidth,
    pid: await start('unshare', '--net', '--kill-child', 'sh', '-c', 'echo ready; exec sleep infinity'),
  };
  expect(agent.attach(made)).toEqual({ ok: true });
  await start('nsenter', '-t', String(made.pid), '--net', process.execPath, '-e', SERVER);
  return made;
}

/** Bits per second of a transfer. */
async function rate(address: string, what: 'give' | 'take', bytes: number): Promise<number> {
  const socket = connect(80, address);
  await once(socket, 'connect');
  const begun = performance.now();
  socket.write(`${what} ${bytes}\n`);
  let seen = 0;
  socket.on('data', (data) => {
    if (what === 'take' && seen === 0) socket.write(Buffer.alloc(bytes));
    seen += data.length;
  });
  await once(socket, 'end');
  expect(seen).toBe(what === 'give' ? bytes : 'godone'.length);
  socket.destroy();
  return (bytes * 8) / ((performance.now() - begun) / 1000);
}

const check = (network: HostNetwork, running: RunningNetwork[], nowMs = Date.now()): Repairs =>
  network.check(running, (id) => running.find(({ containerId }) => containerId === id)?.pid, nowMs);

function open(): HostNetwork {
  const options = { instance: 'cccc00000000', pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };
  const opened = HostNetwork.open({ ...options, nowMs: Date.now() });
  if (typeof opened === 'string') throw new Error(opened);
  return opened;
}

beforeAll(() => {
  enterNewNetwork();
  for (const words of [
    ['link', 'set', 'lo', 'up'],
    // What the host calls containers from.
    ['address', 'add', '192.0.2.1/32', 'dev', 'lo'],
    ['-6', 'address', 'add', 'fd00:1::1/128', 'dev', 'lo'],
  ])
    execFileSync('ip', words);
  agent = open();
});

afterEach(() => agent.removeAll());

afterAll(async () => {
  agent.close();
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
});

describe('a bandwidth', () => {
  it('holds what a container receives and what it sends, each for itself', async () => {
    const slow = await attached({ receiveBitsPerSecond: 16 * MBIT, sendBitsPerSecond: 8 * MBIT });
    const free = await attached();
    // A machine that is slow makes these less, never more: the burst counts, so not the limit itself.
    expect(await rate(slow.ipv4, 'take', 4_000_000)).toBeLessThan(1.5 * 16 * MBIT);
    expect(await rate(slow.ipv4, 'give', 2_000_000)).toBeLessThan(1.5 * 8 * MBIT);
    expect(await rate(slow.ipv6, 'give', 1_000_000)).toBeLessThan(1.5 * 8 * MBIT);
    const counted = agent.counters().get(slow.containerId);
    expect(counted?.receivedBytes).toBeGreaterThan(4_000_000);
    expect(counted?.sentBytes).toBeGreaterThan(3_000_000);
    const own = ownRateOf(slow.pid);
    expect(own).toMatchObject({ bitsPerSecond: 8 * MBIT });
    expect(own?.delayed).toBeGreaterThan(0);
    await rate(free.ipv4, 'give', 4_000_000);
    expect(ownRateOf(free.pid)).toBeUndefined();
    expect(tc('qdisc', 'show').match(/qdisc tbf/g)).toHaveLength(1);
  });

  it.each([
    [{ receiveBitsPerSecond: 64_000 }, '64Kbit', undefined],
    [{ receiveBitsPerSecond: 100_000_000_000 }, '100Gbit', undefined],
    [{ sendBitsPerSecond: 100_000_000 }, undefined, 100_000_000],
  ])('may be of one direction, small or large: %j', async (bandwidth, host, own) => {
    const made = await attached(bandwidth);
    expect(/tbf .* rate (\w+)/.exec(tc('qdisc', 'show'))?.[1]).toBe(host);
    expect(ownRateOf(made.pid)?.bitsPerSecond).toBe(own);
    await rate(made.ipv4, 'give', 1_000);
  });

  it('is there again after the next agent has taken over, changed as its config, and after another program took it away', async () => {
    const one = await attached({ receiveBitsPerSecond: 16 * MBIT, sendBitsPerSecond: 8 * MBIT });
    const next = open();
    expect(next.takeOver([{ ...one, bandwidth: { sendBitsPerSecond: 4 * MBIT, receiveBitsPerSecond: MBIT } }])).toEqual(
      { done: [], failed: [] },
    );
    expect(ownRateOf(one.pid)).toMatchObject({ bitsPerSecond: 4 * MBIT });
    expect(tc('qdisc', 'show')).toContain('rate 1Mbit');

    // Its config changes while it runs.
    const now = Date.now();
    const more = { ...one, bandwidth: { receiveBitsPerSecond: 32 * MBIT } };
    expect(check(next, [more], now)).toEqual({ done: [], failed: [] });
    expect(ownRateOf(one.pid)).toBeUndefined();
    const [, name = ''] = /tbf \w+: dev (\w+) .*rate 32Mbit/.exec(tc('qdisc', 'show')) ?? [];

    tc('qdisc', 'delete', 'dev', name, 'root');
    expect(check(next, [more], now + 60_000).done).toEqual([
      `the limit of what container ${one.containerId} receives was changed, and is set again`,
    ]);
    expect(tc('qdisc', 'show', 'dev', name)).toContain('rate 32Mbit');
    expect(check(next, [more], now + 120_000)).toEqual({ done: [], failed: [] });

    const none = { ...one, bandwidth: undefined };
    expect(check(next, [none], now + 180_000)).toEqual({ done: [], failed: [] });
    expect(tc('qdisc', 'show')).not.toContain('tbf');
    next.close();
  });
});
