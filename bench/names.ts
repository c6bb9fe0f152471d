/**
 * `npm run bench:names`: what an answer costs the resolver, against dnsmasq (Debian package dnsmasq-base): latency as
 * the asker sees it, with one query after the other, and computing time of the server for each answer, with 32 at once.
 * Both know the same 10,000 names, in a network namespace of the benchmark's own, and are asked in turn. A name that is
 * added is then asked for at once: the resolver reads a line more, dnsmasq is sent SIGHUP.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import dnsPacket from 'dns-packet';
import { enterNewNetwork } from '@plinth/host-network';
import { headerLine, RESOLVER_ADDRESS, setLine } from '@plinth/names';
import { percentile, row } from './system.js';

const NAMES = 10_000;
const ROUNDS = 7;
const QUERIES = 2_000;
const AT_ONCE = 32;
const ADDED = 20;
const PROGRAM = resolve(import.meta.dirname, '../../apps/host-agent/dist/name-resolver.js');
const PEER_ADDRESS = '127.0.0.9';
/** sysconf(_SC_CLK_TCK) of Linux. */
const TICK_MS = 10;

interface Server {
  readonly name: string;
  readonly address: string;
  readonly process: ChildProcess;
  readonly add: (number: number) => void;
}

const directory = mkdtempSync(join(tmpdir(), 'plinth-bench-names-'));
const ipv4 = (number: number): string => `10.64.${number >> 8}.${number & 0xff}`;
const label = (number: number): string => `c-${number}.acme.plinth.internal`;

function line(number: number): string {
  const ipv6 = `fd00:706c:696e::a40:${number.toString(16)}`;
  const id = number.toString(16).padStart(32, '0');
  return setLine({ id, name: `c-${number}`, tenant: 'acme', ipv4: ipv4(number), ipv6, local: true, forwards: true });
}

const each = <T>(make: (number: number) => T): T[] => Array.from({ length: NAMES }, (_, index) => make(index + 1));
const start = (...argv: string[]): ChildProcess =>
  spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], { stdio: 'ignore' });

function startResolver(): Server {
  const zones = join(directory, 'zones');
  mkdirSync(zones);
  const file = join(zones, 'bench.zone');
  const pools = ['10.64.0.0/10', 'fd00:706c:696e::/64'];
  const header = { domain: 'plinth.internal', pools, resolvConf: '/nonexistent', program: PROGRAM, builtAtMs: 1 };
  writeFileSync(file, headerLine(header) + each(line).join(''));
  return {
    name: 'resolver',
    address: RESOLVER_ADDRESS,
    process: start(process.execPath, '--max-semi-space-size=1', PROGRAM, zones, '1'),
    add: (number) => appendFileSync(file, line(number)),
  };
}

function startPeer(): Server {
  const file = join(directory, 'hosts');
  const text = (number: number): string => `${ipv4(number)} ${label(number)}\n`;
  writeFileSync(file, each(text).join(''), { mode: 0o644 });
  const options = [
    '--no-resolv',
    '--no-hosts',
    `--addn-hosts=${file}`,
    '--local-ttl=5',
    '--bind-interfaces',
    '--user=root',
  ];
  const child = start(
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    `--listen-address=${PEER_ADDRESS}`,
    ...options,
  );
  const add = (number: number): void => {
    appendFileSync(file, text(number));
    child.kill('SIGHUP');
  };
  return { name: 'dnsmasq', address: PEER_ADDRESS, process: child, add };
}

/** Of the process, in milliseconds of a core: proc(5), /proc/pid/stat. */
function computingMs({ process: { pid } }: Server): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function client({ address }: Server): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.connect(53, address);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** Asks for all of them, so many at once. @returns the latency of each, ms */
async function ask(socket: Socket, numbers: readonly number[], atOnce: number): Promise<number[]> {
  const begun = new Map<number, number>();
  const latencies: number[] = [];
  let next = 0;
  return new Promise((done) => {
    const send = (): void => {
      const number = numbers[next];
      if (number === undefined) return;
      next += 1;
      const id = next & 0xffff;
      begun.set(id, performance.now());
      socket.send(dnsPacket.encode({ type: 'query', id, flags: 256, questions: [{ name: label(number), type: 'A' }] }));
    };
    socket.removeAllListeners('message');
    socket.on('message', (bytes) => {
      latencies.push(performance.now() - (begun.get(bytes.readUInt16BE(0)) ?? 0));
      if (latencies.length === numbers.length) done(latencies);
      else send();
    });
    for (let count = 0; count < atOnce; count += 1) send();
  });
}

/** Milliseconds until an added name is answered. */
async function addedAfter(server: Server, number: number): Promise<number> {
  const socket = await client(server);
  const begun = performance.now();
  server.add(number);
  for (;;) {
    socket.send(
      dnsPacket.encode({ type: 'query', id: 1, flags: 256, questions: [{ name: label(number), type: 'A' }] }),
    );
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    if ((dnsPacket.decode(bytes).answers ?? []).length > 0) break;
    await delay(1);
  }
  socket.close();
  return performance.now() - begun;
}

enterNewNetwork();
execFileSync('ip', ['link', 'set', 'lo', 'up']);
execFileSync('ip', ['address', 'add', `${RESOLVER_ADDRESS}/32`, 'dev', 'lo']);
const servers = [startResolver(), startPeer()];
const figures = new Map(
  servers.map((server) => [server, { latency: [] as number[], computing: [] as number[], added: [] as number[] }]),
);
try {
  await delay(3_000);
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [server, { latency, computing, added }] of figures) {
      const numbers = Array.from({ length: QUERIES }, (_, index) => 1 + ((index * 7_919 + round * 104_729) % NAMES));
      const socket = await client(server);
      const single = await ask(socket, numbers, 1);
      const before = computingMs(server);
      for (let part = 0; part < 5; part += 1) await ask(socket, numbers, AT_ONCE);
      const spent = ((computingMs(server) - before) / (5 * QUERIES)) * 1_000;
      socket.close();
      const waits: number[] = [];
      for (let count = 0; count < ADDED / 4; count += 1)
        waits.push(await addedAfter(server, NAMES + 1 + round * ADDED + count));
      // The first round warms both up.
      if (round === 0) continue;
      latency.push(percentile(single, 0.5) * 1_000);
      computing.push(spent);
      added.push(percentile(waits, 0.5));
    }
  }
  const [ours, peer] = servers.map((server) => figures.get(server));
  if (!ours || !peer) throw new Error('there are two servers');
  const show = (what: string, one: readonly number[], other: readonly number[]): void => {
    const [a, b] = [percentile(one, 0.5), percentile(other, 0.5)];
    row(what, a.toFixed(1), b.toFixed(1), (a / b).toFixed(2));
  };
  row('median of rounds', 'resolver', 'dnsmasq', 'ratio');
  show('latency, one query at a time, us', ours.latency, peer.latency);
  show('computing time for an answer, us', ours.computing, peer.computing);
  show('until an added name is answered, ms', ours.added, peer.added);
} finally {
  for (const { process: child } of servers) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
}
