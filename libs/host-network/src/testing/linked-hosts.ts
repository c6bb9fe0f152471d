/** Hosts in network namespaces of their own that share a link, for tests; and what runs in their containers. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { HostNetwork } from '../host-network.js';
import type { RunningNetwork } from '../placed-containers.js';
import { inNetworkOf } from '../network-namespace.js';
import type { TunnelOptions } from '../remote/remote-network.js';
import type { RemoteContainer } from '../remote/remote-containers.js';

const POOLS = { pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64' };
export const TUNNEL_PORT = 8_473;
const children: ChildProcess[] = [];

export const within = (pid: number, ...argv: string[]): string[] => ['nsenter', '-t', String(pid), '--net', ...argv];

export const runIn = (pid: number, ...argv: string[]): string => {
  const [file = '', ...args] = within(pid, ...argv);
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
};

/** @returns when it has printed the word */
export async function start(argv: readonly string[], ready: string): Promise<ChildProcess> {
  const [file = '', ...args] = argv;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child, 'spawn');
  await new Promise<void>((resolve) => child.stdout?.on('data', (text) => String(text).includes(ready) && resolve()));
  return child;
}

/** A process in a network of its own. */
export const newNamespace = async (): Promise<number> =>
  (await start(['unshare', '--net', 'sh', '-c', 'echo ready; exec sleep infinity'], 'ready')).pid ?? 0;

export async function endAll(): Promise<void> {
  const ended = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  await Promise.all(ended.map((child) => (child.kill('SIGKILL'), once(child, 'exit'))));
}

const SERVER = `const answer = (socket) => { socket.on('error', () => {}); socket.write(socket.remoteAddress + '\\n'); };
require('node:net').createServer(answer).listen({ port: 80, host: '::' }, () => console.log('ready'));
const udp = require('node:dgram').createSocket('udp6');
udp.on('message', (text, { address, port }) => { console.log('received ' + text); udp.send(address, port, address); });
udp.bind(80);`;

const ASK = `const { isIPv6 } = require('node:net'); const [address, size] = process.argv.slice(1);
const udp = require('node:dgram').createSocket(isIPv6(address) ? 'udp6' : 'udp4');
udp.on('message', (text) => { console.log(String(text)); process.exit(0); });
udp.send('?'.repeat(Number(size)), 80, address); setTimeout(() => process.exit(1), 700);`;

const plain = (text: string): string => text.trim().replace('::ffff:', '');

/** @param size of the datagram, bytes @returns the caller's address as the server sees it; undefined: not reached */
export function call(pid: number, address: string, protocol: 'tcp' | 'udp' = 'tcp', size = 1): string | undefined {
  const tcp = ['timeout', '0.7', 'bash', '-c', `exec 3<>/dev/tcp/${address}/80 && head -n 1 <&3`];
  try {
    return plain(runIn(pid, ...(protocol === 'tcp' ? tcp : [process.execPath, '-e', ASK, address, String(size)])));
  } catch {
    return undefined;
  }
}

export interface TestContainer extends RunningNetwork {
  /** What its UDP port 80 has received. */
  readonly received: string[];
}

let lastContainer = 0;

export class LinkedHost {
  network: HostNetwork;

  constructor(
    readonly name: string,
    readonly pid: number,
    readonly tunnel: TunnelOptions,
    private readonly instance: string,
  ) {
    this.network = this.open();
  }

  open(): HostNetwork {
    const { instance, tunnel } = this;
    const opened = this.in(() => HostNetwork.open({ instance, ...POOLS, nowMs: Date.now(), remote: tunnel }));
    if (typeof opened === 'string') throw new Error(opened);
    return (this.network = opened);
  }

  /** The calling thread is in the host's network meanwhile. */
  in<T>(work: () => T): T {
    return inNetworkOf(this.pid, work);
  }

  async attach(tenant: number, change: Partial<RunningNetwork> = {}): Promise<TestContainer> {
    lastContainer += 1;
    const pid = await newNamespace();
    const container: RunningNetwork = {
      containerId: lastContainer.toString(16).padStart(32, '0'),
      ipv4: `10.64.0.${lastContainer}`,
      ipv6: `fd00:706c:696e::a40:${lastContainer.toString(16)}`,
      tenant,
      ports: [],
      egress: { policy: 'allow' },
      ...change,
      pid,
    };
    const result = this.in(() => this.network.attach(container));
    if (!result.ok) throw new Error(result.message);
    const received: string[] = [];
    const server = await start(within(pid, process.execPath, '-e', SERVER), 'ready');
    server.stdout?.on('data', (text) => received.push(...(String(text).match(/(?<=received ).*/g) ?? [])));
    return { ...container, received };
  }

  knows(part: string, containers: readonly RemoteContainer[]): void {
    this.in(() => this.network.setRemote(part, containers));
  }

  run(...argv: string[]): string {
    return runIn(this.pid, ...argv);
  }

  /** What is in the kernel, as text that two states can be compared by. */
  kernel(): string {
    const routes = ['-4', '-6'].map((family) => this.run('ip', family, 'route', 'show', 'proto', '112'));
    const entries = ['-4', '-6'].map((family) => this.run('ip', family, 'neigh', 'show', 'nud', 'permanent'));
    const links = this.run('ip', '-o', 'link')
      .replace(/^\d+: /gm, '')
      .replace(/@if\d+.*| state \S+/g, '');
    const forwarding = this.run('sh', '-c', 'bridge fdb show dev plt0 2>/dev/null || true');
    const sorted = (text: string): string =>
      text
        .split('\n')
        .map((line) => line.trim())
        .sort()
        .join('\n')
        .trim();
    return [...routes, ...entries, links, forwarding, this.run('nft', 'list', 'tables')].map(sorted).join('\n--\n');
  }
}

/** @param address of a host, by its number from 1 */
export async function linkHosts(
  count: number,
  tunnel: (number: number) => TunnelOptions,
): Promise<{ readonly hosts: readonly LinkedHost[]; readonly link: number }> {
  const link = await newNamespace();
  runIn(link, 'ip', 'link', 'add', 'br0', 'type', 'bridge');
  runIn(link, 'ip', 'link', 'set', 'br0', 'up');
  const hosts: LinkedHost[] = [];
  for (let number = 1; number <= count; number++) {
    const pid = await newNamespace();
    runIn(link, 'ip', 'link', 'add', `h${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
    runIn(link, 'ip', 'link', 'set', `h${number}`, 'master', 'br0', 'up');
    for (const words of [
      ['link', 'set', 'lo', 'up'],
      ['link', 'set', 'eth0', 'up'],
      ['address', 'add', `192.0.2.${number}/24`, 'dev', 'eth0'],
      ['-6', 'address', 'add', `fd00:1::${number}/64`, 'dev', 'eth0', 'nodad'],
      ['route', 'add', 'default', 'via', '192.0.2.254'],
    ])
      runIn(pid, 'ip', ...words);
    hosts.push(new LinkedHost(`host-${number}`, pid, tunnel(number), `${number}${'a'.repeat(11)}`));
  }
  return { hosts, link };
}

/** @throws Error when it does not arrive within a minute */
export async function receives({ received }: TestContainer, text: string): Promise<void> {
  for (
    const end = performance.now() + 60_000;
    !received.includes(text);
    await new Promise((done) => setTimeout(done, 5))
  )
    if (performance.now() > end) throw new Error(`${text} was not received`);
}
