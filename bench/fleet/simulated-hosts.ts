/** Hosts and a storage node as the provisioners know them: heartbeats, the configs that they receive, their reports. */
import {
  type ContainerConfig,
  desiredContainer,
  type HostHeartbeat,
  hostHeartbeat,
  hostReport,
  type StorageHeartbeat,
  storageHeartbeat,
} from '@plinth/contracts';
import { type JetStreamClient, type NatsConnection, nuid } from 'nats';

export const MEMORY_OF_ONE = 16 * 1024 ** 2;
/** Of a lease; the host renews it six times in that time. */
const LEASE_SECONDS = 30;
const TICKS_PER_SECOND = 20;
const RACKS = 50;
/** A host that is slow reports after so long. */
const LATE_MS = 3_000;

export interface SimulatedImage {
  readonly name: string;
  readonly version: string;
  readonly contentDigest: string;
}

export class SimulatedHosts {
  readonly names: readonly string[];
  image: SimulatedImage | undefined;
  /** By container: the host that was sent its config first. */
  readonly placed = new Map<string, string>();
  /** Containers that were sent to another host after theirs had fallen silent. */
  readonly moved = new Set<string>();
  /** Containers that two hosts were sent, the first of which was not lost. */
  readonly twice = new Set<string>();
  private readonly bodies: readonly string[];
  private follows = false;
  private sequence = Date.now();
  /** Host and container that was released there. */
  private readonly released = new Set<string>();
  private beating: NodeJS.Timeout | undefined;
  private next = 0;
  private nextNode = 0;
  /** Hosts that are silent, with the time since when. */
  private readonly silent = new Map<string, number>();

  /** @param capacity containers of each host; its memory is for as many */
  constructor(
    private readonly connection: NatsConnection,
    private readonly jetstream: JetStreamClient,
    hosts: number,
    private readonly capacity: number,
    private readonly heartbeatSeconds: number,
    network: boolean,
    private readonly storageNodes: number,
    hasRacks: boolean,
    ownImages: number,
  ) {
    this.names = Array.from({ length: hosts }, (_, index) => `host-${String(index + 1).padStart(5, '0')}`);
    const at = new Date().toISOString();
    const images = Array.from({ length: ownImages }, (_, index) => `image-${index}@v1`);
    this.bodies = this.names.map((host, index) =>
      JSON.stringify({
        host,
        incarnation: '0'.repeat(32),
        at,
        datacenter: `dc-${(index % 3) + 1}`,
        storageNodes: [this.nodeOf(index)],
        capacity: { memoryBytes: this.capacity * MEMORY_OF_ONE, cpus: 64, containers: this.capacity },
        load: { load1: 1, memoryUsedBytes: 0, containers: 0 },
        runtime: 'simulated',
        network,
        ownUsers: [this.nodeOf(index)],
        ...(ownImages > 0 && { images }),
        ...(hasRacks && { labels: { rack: `rack-${index % RACKS}` } }),
      } satisfies HostHeartbeat),
    );
  }

  /** @param atOnce all send their first heartbeat now */
  start(atOnce: boolean): void {
    this.connection.subscribe(desiredContainer('*', '*'), {
      callback: (error, message) => {
        if (error !== null || message.data.length === 0) return;
        const [, , host = '', , id = ''] = message.subject.split('.');
        if (this.follows) this.follow(host, message.json<ContainerConfig>());
        const before = this.placed.get(id);
        if (before === undefined) this.placed.set(id, host);
        else if (before !== host && (this.silent.has(before) || this.released.has(`${before} ${id}`))) {
          this.placed.set(id, host);
          this.moved.add(id);
        } else if (before !== host) this.twice.add(id);
      },
    });
    if (atOnce)
      for (const [at, host] of this.names.entries())
        this.connection.publish(hostHeartbeat(host), this.bodies[at] ?? '');
    this.beating = setInterval(() => this.beat(), 1_000 / TICKS_PER_SECOND);
  }

  /** From now on they start what they are sent, release what is moved, and report it. */
  startFollowing(): void {
    this.follows = true;
  }

  private follow(host: string, { containerId, desired, generation }: ContainerConfig): void {
    if (this.silent.has(host)) return;
    const late = `${host} ${containerId}`;
    if (desired === 'released') this.released.add(late);
    if (desired === 'running') this.released.delete(late);
    const kind = desired === 'released' ? 'released' : desired === 'running' ? 'started' : undefined;
    if (kind) void this.reportOne(containerId, kind, host, generation);
  }

  /** They send nothing any more, and renew no lease. */
  lose(count: number): void {
    const now = performance.now();
    for (const host of this.names.slice(0, count)) this.silent.set(host, now);
  }

  private nodeOf(index: number): string {
    return `sn-${(index % this.storageNodes) + 1}`;
  }

  stop(): void {
    clearInterval(this.beating);
  }

  /** Each host in its turn, evenly over the interval; all of them at once would be a load of its own. */
  private beat(): void {
    const due = this.names.length / (this.heartbeatSeconds * TICKS_PER_SECOND);
    const until = this.next + due;
    for (; Math.floor(this.next) < Math.floor(until); this.next++) {
      const at = Math.floor(this.next) % this.names.length;
      const host = this.names[at] ?? '';
      if (!this.silent.has(host)) this.connection.publish(hostHeartbeat(host), this.bodies[at] ?? '');
    }
    this.next = until;
    const untilNode = this.nextNode + this.storageNodes / (this.heartbeatSeconds * TICKS_PER_SECOND);
    for (; Math.floor(this.nextNode) < Math.floor(untilNode); this.nextNode++)
      this.beatStorage(Math.floor(this.nextNode) % this.storageNodes);
    this.nextNode = untilNode;
  }

  beatAllStorage(): void {
    for (let node = 0; node < this.storageNodes; node++) this.beatStorage(node);
  }

  private beatStorage(at: number): void {
    const image = this.image && { ...this.image, mountScriptDigest: this.image.contentDigest };
    const now = performance.now();
    const leases = this.names.flatMap((host, index) => {
      if (index % this.storageNodes !== at) return [];
      const since = this.silent.get(host);
      const renewed = Math.floor((since ?? now) / ((LEASE_SECONDS * 1_000) / 6));
      const renewal = renewed.toString(16).padStart(32, '0');
      const unrenewedMs = Math.floor(since === undefined ? 0 : now - since);
      return [{ host, renewal, ttlSeconds: LEASE_SECONDS, unrenewedMs }];
    });
    const node = `sn-${at + 1}`;
    const body: StorageHeartbeat = {
      node,
      at: new Date().toISOString(),
      datacenter: 'dc-1',
      labels: {},
      totalBytes: 1e15,
      freeBytes: 1e15,
      images: image ? [image] : [],
      leases,
    };
    this.connection.publish(storageHeartbeat(node), JSON.stringify(body));
  }

  /**
   * The containers' hosts report that they were started: one of 50 failed, one of 50 reports late.
   * @param isSmooth none fails or is late
   * @returns when the bus has stored all reports
   */
  async report(ids: readonly string[], atOnce: number, isSmooth = false): Promise<void> {
    const flying = new Set<Promise<unknown>>();
    const late: Promise<unknown>[] = [];
    for (const [index, id] of ids.entries()) {
      if (index % 50 === 1 && !isSmooth) {
        late.push(new Promise((resolve) => setTimeout(resolve, LATE_MS)).then(() => this.reportOne(id, 'started')));
        continue;
      }
      if (flying.size >= atOnce) await Promise.race(flying);
      const one: Promise<unknown> = this.reportOne(id, index % 50 === 0 && !isSmooth ? 'failed' : 'started').finally(
        () => flying.delete(one),
      );
      flying.add(one);
    }
    await Promise.all([...flying, ...late]);
  }

  private async reportOne(
    containerId: string,
    kind: 'started' | 'failed' | 'released',
    host = this.placed.get(containerId) ?? '',
    generation = 1,
  ): Promise<void> {
    const at = new Date().toISOString();
    const started = {
      pid: 4711,
      startedAt: at,
      begunAt: at,
      image: `${this.image?.name}@${this.image?.version}` satisfies ContainerConfig['image'],
      phases: { premount: 1, mount: 1, runtime: 1 },
    };
    const body = {
      kind,
      host,
      containerId,
      generation,
      sequence: ++this.sequence,
      at,
      ...(kind === 'started' && started),
      ...(kind === 'failed' && { reason: 'image-missing', message: 'simulated' }),
    };
    await this.jetstream.publish(hostReport(host, containerId), JSON.stringify(body), { msgID: nuid.next() });
  }
}
