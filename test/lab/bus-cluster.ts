/** Three bus servers on machines of a lab, and a machine that publishes to them. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { missingMessages, type StreamReplica } from '@plinth/client';
import { busUrl, Lab, type Machine, makeKeys, MONITOR_PORT, startBusServer } from '@plinth/lab';
import { INSTALLATION } from '../stack.js';

export type BusFault = 'power-cut' | 'freeze' | 'cut';
export const BUS_FAULTS: readonly BusFault[] = ['power-cut', 'freeze', 'cut'];

export interface BusRound {
  readonly fault: BusFault;
  readonly server: string;
  /** It decided about the stream that was published to, or the publisher was connected to it. */
  readonly role: string;
  /** Longest time without an acknowledgement, milliseconds. */
  readonly pauseMs: number;
  readonly acknowledged: number;
  /** Acknowledged messages that a server lacks, a line each. */
  readonly missing: readonly string[];
}

interface Seen {
  readonly attachedTo: string;
  readonly replicas: readonly StreamReplica[];
}

const STREAM = 'PLINTH_EVENTS';
const SERVERS = ['bus-1', 'bus-2', 'bus-3'];
const PATIENCE_MS = 120_000;
const LANES = 8;

export class BusCluster implements AsyncDisposable {
  /** Sequence by id of what was acknowledged. */
  readonly acknowledged = new Map<string, number>();
  /** Version of the servers. */
  version = '';
  private pauses: number[] = [];
  private readonly answers: Seen[] = [];
  private readonly waiting = new Set<() => void>();

  private constructor(
    private readonly lab: Lab,
    private readonly keys: string,
    private readonly routeSecret: string,
    private readonly program: string,
    private probe: ChildProcess | undefined,
  ) {}

  /** @param program path of nats-server 2.10.23 or later */
  static async start(directory: string, program: string): Promise<BusCluster> {
    const machines = [...SERVERS, 'client'].map((name, index) => ({ name, datacenter: `dc-${(index % 3) + 1}` }));
    const lab = await Lab.start({ directory, machines, life: 'bound', shares: [INSTALLATION, dirname(program)] });
    try {
      const keys = join(directory, 'keys');
      const routeSecret = await makeKeys(keys, [
        { member: { kind: 'provisioner' } },
        { member: { kind: 'image-builder' } },
      ]);
      const cluster = new BusCluster(lab, keys, routeSecret, program, undefined);
      await Promise.all(SERVERS.map((name) => cluster.startServer(name)));
      await cluster.startProbe();
      return cluster;
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** What happens to a server, what is seen meanwhile, and what is left when it is back. */
  async round(fault: BusFault, pick: (seen: Seen) => string): Promise<BusRound> {
    await this.current();
    const before = await this.look();
    const server = pick(before);
    const leader = before.replicas.find(({ stream }) => stream === STREAM)?.leader;
    const roles = [...(leader === server ? ['leader'] : []), ...(before.attachedTo === server ? ['attached'] : [])];
    this.pauses = [];
    const known = this.acknowledged.size;
    if (fault === 'power-cut') await this.lab.powerCut(server);
    else if (fault === 'freeze') await this.lab.freeze(server);
    else await this.lab.cut(server);
    // Published again, by all lanes, while it is away.
    const during = this.acknowledged.size;
    await this.until('acknowledgements while a server is away', () => this.acknowledged.size > during + 20 * LANES);
    if (fault === 'power-cut') {
      await this.lab.powerOn(server);
      await this.startServer(server);
    } else if (fault === 'freeze') await this.lab.thaw(server);
    else await this.lab.heal();
    const after = this.acknowledged.size;
    await this.until('acknowledgements when it is back', () => this.acknowledged.size > after + 5 * LANES);
    const pauseMs = Math.max(...this.pauses);
    await this.current();
    return {
      fault,
      server,
      role: roles.join('+') || 'other',
      pauseMs,
      acknowledged: this.acknowledged.size - known,
      missing: await this.missing(),
    };
  }

  /** What every server holds, by numbers and sequences; contents are not compared. */
  private async missing(): Promise<readonly string[]> {
    const { replicas } = await this.look();
    const events = replicas.filter(({ stream }) => stream === STREAM);
    const sequences = [...this.acknowledged.values()];
    const newest = Math.max(...sequences);
    return [
      ...missingMessages(replicas),
      ...(events.length === SERVERS.length ? [] : [`${events.length} servers have ${STREAM}`]),
      // The reads come after the acknowledgement.
      ...events
        .filter(({ firstSequence, messages }) => firstSequence > 1 || messages === 0)
        .map(({ server }) => `${server} begins late`),
      ...(new Set(sequences).size === sequences.length ? [] : ['one sequence was acknowledged for two ids']),
      ...events
        .filter(({ lastSequence }) => lastSequence < newest - 100 * LANES)
        .map(({ server }) => `${server} is far behind`),
    ];
  }

  /** Resolves when every server has what was acknowledged by now. */
  private async current(): Promise<void> {
    const newest = Math.max(0, ...this.acknowledged.values());
    for (const end = performance.now() + PATIENCE_MS; ; await pause(200)) {
      const { replicas } = await this.look();
      const events = replicas.filter(({ stream }) => stream === STREAM);
      if (events.length === SERVERS.length && events.every(({ lastSequence }) => lastSequence >= newest)) return;
      if (performance.now() > end) throw new Error(`not current within 120 s: ${JSON.stringify(events)}`);
    }
  }

  private async look(): Promise<Seen> {
    const before = this.answers.length;
    this.probe?.stdin?.write('\n');
    await this.until('an answer of the probe', () => this.answers.length > before);
    const seen = this.answers.at(-1);
    if (!seen) throw new Error('no answer');
    return seen;
  }

  private async until(what: string, holds: () => boolean): Promise<void> {
    const late = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (performance.now() > late) throw new Error(`not within 120 s: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.waiting.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  private servers(): readonly Machine[] {
    return SERVERS.map((name) => this.lab.machine(name));
  }

  private startServer(name: string): Promise<void> {
    return startBusServer(this.lab.machine(name), {
      servers: this.servers(),
      routeSecret: this.routeSecret,
      keys: this.keys,
      program: this.program,
    });
  }

  private async startProbe(): Promise<void> {
    const client = this.lab.machine('client');
    for (const name of ['provisioner', 'upstream'])
      client.writeFile(`/root/${name}.nk`, readFileSync(join(this.keys, 'seeds', `${name}.nk`)), 0o600);
    const monitors = this.servers().map(({ address }) => `http://${address}:${MONITOR_PORT}`);
    const program = join(INSTALLATION, 'test/dist/lab/bus-probe.js');
    const args = [busUrl(this.servers()), '/root/provisioner.nk', '/root/upstream.nk', String(LANES), ...monitors];
    this.probe = client.spawn([process.execPath, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.probe.stdout) throw new Error('no pipe');
    createInterface({ input: this.probe.stdout }).on('line', (line) => this.take(line));
    await this.until('the probe is ready', () => this.version !== '');
    await this.until('acknowledgements', () => this.acknowledged.size > LANES);
  }

  private take(line: string): void {
    const [first = '', second = '', third = ''] = line.split(' ');
    if (first === 'ready') this.version = second;
    else if (first === 'replicas') this.answers.push(JSON.parse(line.slice(first.length)) as Seen);
    else {
      this.acknowledged.set(first, Number(second));
      this.pauses.push(Number(third));
    }
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const wake of waiting) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.probe?.kill('SIGKILL');
    await this.lab.down();
  }
}
