/**
 * A machine as the network sees one: a network namespace, with a cable to another. Its only way to the rest of the test
 * is a port of its own loopback, for the bus.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

/** Argument: the socket that leads to the port, the port. */
const FORWARD = `const { connect, createServer } = require('node:net');
const [path, port] = process.argv.slice(1);
createServer((here) => { const there = connect(path); here.pipe(there); there.pipe(here);
  for (const end of [here, there]) end.on('error', () => { here.destroy(); there.destroy(); }); })
  .listen(Number(port), '127.0.0.1', () => console.log('ready'));`;

/** Serves a port of this machine's loopback on a socket, which is reached from every network namespace. */
export async function openDoor(path: string, port: number): Promise<Server> {
  const server = createServer((here) => {
    const there = connect(port, '127.0.0.1');
    here.pipe(there);
    there.pipe(here);
    for (const end of [here, there])
      end.on('error', () => {
        here.destroy();
        there.destroy();
      });
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

export class Machine {
  private readonly processes: ChildProcess[] = [];
  private agent: ChildProcess | undefined;
  private removeAll: (() => ChildProcess) | undefined;

  private constructor(
    private readonly pid: number,
    holder: ChildProcess,
  ) {
    this.processes.push(holder);
  }

  static async open(): Promise<Machine> {
    const holder = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'unshare', '--net', 'sh', '-c', HOLD], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await ready(holder);
    return new Machine(holder.pid ?? 0, holder);
  }

  /** A cable between two machines. @param here, there e.g. `192.0.2.1/24` */
  connect(other: Machine, here: string, there: string): void {
    this.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(other.pid));
    for (const [machine, address] of [
      [this, here],
      [other, there],
    ] as const) {
      machine.run('ip', 'address', 'add', address, 'dev', 'eth0');
      machine.run('ip', 'link', 'set', 'eth0', 'up');
    }
  }

  run(file: string, ...args: string[]): string {
    return execFileSync('nsenter', [`--net=/proc/${this.pid}/ns/net`, '--', file, ...args], { encoding: 'utf8' });
  }

  /** Reaches a port of this machine's loopback by the door to it. */
  async forward(door: string, port: number): Promise<void> {
    await ready(this.spawn([process.execPath, '-e', FORWARD, door, String(port)]));
  }

  /** @returns when it has printed that it is ready */
  async startAgent(installation: string, environment: Readonly<Record<string, string>>): Promise<void> {
    const argv = [process.execPath, join(installation, 'apps/host-agent/dist/main.js')];
    this.agent = this.spawn(argv, environment);
    this.removeAll = () => this.spawn([...argv, '--remove-all'], environment);
    await ready(this.agent, '"msg":"desired state read"');
  }

  async killAgent(): Promise<void> {
    if (!this.agent) throw new Error('no agent runs');
    const ended = once(this.agent, 'exit');
    this.agent.kill('SIGKILL');
    await ended;
  }

  /** Ends the agent and its containers, the forwarder and the network, in this order. */
  async close(): Promise<void> {
    if (this.agent && this.agent.exitCode === null && this.agent.signalCode === null) {
      const ended = once(this.agent, 'exit');
      this.agent.kill('SIGTERM');
      await ended;
    }
    const removal = this.removeAll?.();
    removal?.stdout?.resume();
    if (removal) await once(removal, 'exit');
    for (const child of this.processes.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
  }

  private spawn(argv: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn('nsenter', [`--net=/proc/${this.pid}/ns/net`, '--', ...argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    });
    this.processes.push(child);
    return child;
  }
}

const HOLD = 'ip link set lo up && echo ready && exec sleep infinity';

async function ready(child: ChildProcess, word = 'ready'): Promise<void> {
  let printed = '';
  for await (const text of child.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    printed += String(text);
    if (!printed.includes(word)) continue;
    child.stdout?.resume();
    return;
  }
  throw new Error(`${child.spawnargs.join(' ')} ended without “${word}”: ${printed}`);
}
