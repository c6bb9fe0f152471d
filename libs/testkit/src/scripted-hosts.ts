/**
 * A simulation of host agents on a real bus: they answer their desired state with the reports that a test asks for, at
 * once.
 */
import {
  type ContainerConfig,
  type ContainerReport,
  desiredContainer,
  type HostHeartbeat,
  hostHeartbeat,
  type HostLimit,
  hostReport,
  type PendingPart,
  type PolicyInEffect,
  type ReachedLimit,
  storageHeartbeat,
} from '@plinth/contracts';
import { headers, type JetStreamClient, type NatsConnection } from 'nats';

export type Fate = 'passes' | 'fails' | 'refuses' | 'hangs';

export interface ScriptedImage {
  readonly name: string;
  readonly version: string;
  readonly contentDigest: string;
}

interface Container {
  config: ContainerConfig;
  sequence: number;
  reported: boolean;
  runGeneration: number;
  judged: string | undefined;
  /** Correlation id of the message with the config. */
  correlationId: string;
  /** The image on which it was last started. */
  image: string;
}

/** The sequence begins at or above every number counted before, also within the same second. */
const fresh = (): Pick<Container, 'sequence' | 'reported'> => ({ sequence: Date.now(), reported: false });

const startedBody = (image: string): Partial<ContainerReport> & Pick<ContainerReport, 'kind'> => ({
  kind: 'started',
  pid: 4711,
  image,
  phases: { premount: 1, mount: 1, runtime: 1 },
});

export class ScriptedHosts {
  readonly containers = new Map<string, Container>();
  /** Starts in their order, `name image`. */
  readonly starts: string[] = [];
  /** Outcomes of trials, by container name; absent: passes. */
  readonly fates = new Map<string, Fate>();
  /** What of a changed config a run does not have, by container name. */
  readonly pending = new Map<string, PendingPart[]>();
  /** The hosts' leases as the storage node reports them; absent for hosts without one. */
  readonly leases = new Map<string, { readonly renewal: string; readonly unrenewedMs: number }>();
  /** Sizes of the tenants' data as the storage node reports them. */
  readonly diskUse = new Map<string, number>();
  /** Hosts that have started the container and not released it: more than one is a fault of the provisioner. */
  readonly running = new Map<string, Set<string>>();
  /** Names of containers that do not start. */
  readonly failing = new Set<string>();
  /** Ports that programs of the hosts have. */
  occupied: (port: number) => boolean = () => false;
  /** Hosts without heartbeats that do nothing. */
  readonly silent = new Set<string>();
  /** Hosts with heartbeats that do nothing. */
  readonly deaf = new Set<string>();
  /** Hosts that give containers an address of their own. */
  readonly networked = new Set<string>();
  /** Hosts that hold data volumes to their limits. */
  readonly holdingDisk = new Set<string>();
  /** Limits that a host can't hold; absent: as an older agent, which does not say. */
  readonly missing = new Map<string, HostLimit[]>();
  /** Where other hosts reach the containers of a host, by host. */
  readonly addresses = new Map<string, string>();
  /** Policies of tenants that a host reports as in effect. */
  readonly policies = new Map<string, readonly PolicyInEffect[]>();
  /** Labels that a host reports, by host. */
  readonly hostLabels = new Map<string, Readonly<Record<string, string>>>();
  /** What hosts' own stores hold, by host; absent for those without one. */
  readonly stores = new Map<string, readonly string[]>();
  images: ScriptedImage[] = [];
  /** Labels of the storage node. */
  labels: Readonly<Record<string, string>> = {};
  /** Of the storage node. */
  freeBytes = 1e12;
  storageSilent = false;
  /** Most containers of one host that were on trial at once. */
  mostOnTrial = 0;
  private readonly onTrial = new Map<string, Set<string>>();
  private readonly waiting: { config: ContainerConfig; correlationId: string }[] = [];
  private beating: NodeJS.Timeout | undefined;
  private readonly publishing = new Set<Promise<unknown>>();

  constructor(
    private readonly connection: NatsConnection,
    private readonly jetstream: JetStreamClient,
    readonly hosts: readonly string[],
    private readonly capacity: number,
    /** How long a trial takes, ms. */
    private readonly trialMs = 100,
  ) {}

  start(): void {
    void this.listen();
    this.beating = setInterval(() => this.beat(), 300);
    this.beat();
  }

  /** Resolves when the bus has stored or refused the last report. */
  async stop(): Promise<void> {
    clearInterval(this.beating);
    this.beating = undefined;
    await Promise.allSettled(this.publishing);
  }

  /** Reports the container's present state again, as an agent does that came back. */
  reportAgain(id: string): void {
    const container = this.containers.get(id);
    if (container && container.config.desired !== 'running') this.report(container, { kind: container.config.desired });
  }

  /** Delivers the configs that a silent or deaf host has missed. */
  /** What all of them say of the users of containers; empty: as older agents. */
  users: Pick<HostHeartbeat, 'ownUsers' | 'hostUsers'> = {};

  wake(host: string): void {
    this.silent.delete(host);
    this.deaf.delete(host);
    for (const { config, correlationId } of this.waiting.splice(0)) this.take(config, correlationId);
  }

  /** A container reached a limit. */
  reach(id: string, reached: ReachedLimit): void {
    const container = this.containers.get(id);
    if (container) this.report(container, { kind: 'limited', reached });
  }

  imagesOf(prefix: string): readonly string[] {
    return [...this.containers.values()]
      .filter(({ config }) => config.name.startsWith(prefix))
      .map(({ image }) => image);
  }

  private beat(): void {
    const at = new Date().toISOString();
    for (const host of this.hosts.filter((name) => !this.silent.has(name))) {
      const capacity = { memoryBytes: 1024 ** 4, cpus: 640, containers: this.capacity };
      const body = {
        host,
        incarnation: '0'.repeat(32),
        at,
        datacenter: 'dc-1',
        storageNodes: ['sn-1'],
        capacity,
        load: { load1: 0, memoryUsedBytes: 0, containers: 0 },
        runtime: 'scripted',
        // A newer host's: it is ignored.
        ofALaterVersion: true,
        ...(this.networked.has(host) && { network: true }),
        ...(this.holdingDisk.has(host) && { diskLimits: ['sn-1'], ioLimits: ['maxima'] }),
        ...(this.missing.has(host) && { missingLimits: this.missing.get(host) }),
        ...this.users,
        ...(this.addresses.has(host) && { address: this.addresses.get(host) }),
        ...(this.hostLabels.has(host) && { labels: this.hostLabels.get(host) }),
        ...(this.stores.has(host) && { images: this.stores.get(host) }),
        ...(this.policies.has(host) && { tenantPolicies: this.policies.get(host) }),
      };
      this.connection.publish(hostHeartbeat(host), JSON.stringify(body));
    }
    if (this.storageSilent) return;
    const leases = [...this.leases].map(([host, lease]) => ({ host, ttlSeconds: 1, ...lease }));
    const images = this.images.map((image) => ({ ...image, mountScriptDigest: image.contentDigest }));
    this.connection.publish(
      storageHeartbeat('sn-1'),
      JSON.stringify({
        node: 'sn-1',
        at,
        datacenter: 'dc-1',
        labels: this.labels,
        totalBytes: 1e12,
        freeBytes: this.freeBytes,
        images,
        leases,
        tenants: [...this.diskUse].map(([tenant, bytes]) => ({ tenant, bytes })),
      }),
    );
  }

  private async listen(): Promise<void> {
    for await (const message of this.connection.subscribe(desiredContainer('*', '*')))
      if (message.data.length > 0)
        this.take(message.json<ContainerConfig>(), message.headers?.get('ce-correlationid') ?? '');
  }

  private take(config: ContainerConfig, correlationId: string): void {
    if (this.silent.has(config.host) || this.deaf.has(config.host)) {
      this.waiting.push({ config, correlationId });
      return;
    }
    const known = this.containers.get(config.containerId);
    if (known && config.generation <= known.config.generation) {
      // A host that was lost has to release or remove these containers.
      if (config.desired !== 'released' && (config.desired !== 'removed' || config.host === known.config.host)) return;
      this.running.get(config.containerId)?.delete(config.host);
      this.report(
        { config, ...fresh(), runGeneration: 0, judged: undefined, image: '', correlationId },
        { kind: config.desired },
      );
      return;
    }
    // Report sequences are per host.
    if (known && known.config.host !== config.host) Object.assign(known, { ...fresh(), runGeneration: 0, image: '' });
    const container = known ?? { config, ...fresh(), runGeneration: 0, judged: undefined, image: '', correlationId };
    Object.assign(container, { config, correlationId });
    this.containers.set(config.containerId, container);
    if (config.desired !== 'running') {
      if (config.desired !== 'stopped') this.running.get(config.containerId)?.delete(config.host);
      this.report(container, { kind: config.desired });
      return;
    }
    const { update } = config;
    if (update && update.updateId !== container.judged) {
      container.judged = update.updateId;
      void this.judge(container, update.updateId);
      return;
    }
    const occupied = config.ports?.find(({ hostPort }) => this.occupied(hostPort));
    if (occupied)
      this.report(container, {
        kind: 'failed',
        reason: 'port-taken',
        message: `${occupied.hostPort} is in use`,
        retryInMs: 1_000,
      });
    else if (config.runGeneration > container.runGeneration || config.image !== container.image)
      this.run(container, config.image);
    else this.report(container, { ...startedBody(config.image), pending: this.pending.get(config.name) });
  }

  private async judge(container: Container, updateId: string): Promise<void> {
    const { config } = container;
    const fate = this.fates.get(config.name) ?? 'passes';
    if (fate === 'refuses') {
      container.runGeneration = config.runGeneration;
      return this.report(container, { kind: 'update-refused', updateId, reason: 'image-missing', message: 'scripted' });
    }
    this.run(container, config.image);
    if (fate === 'hangs') return;
    const trials = this.onTrial.get(config.host) ?? new Set<string>();
    this.onTrial.set(config.host, trials.add(config.name));
    this.mostOnTrial = Math.max(this.mostOnTrial, trials.size);
    await new Promise((resolve) => setTimeout(resolve, this.trialMs));
    trials.delete(config.name);
    // Another config has arrived meanwhile: the trial ends without a verdict.
    if (container.config.update?.updateId !== updateId || this.silent.has(config.host)) return;
    if (fate === 'passes') return this.report(container, { kind: 'updated', updateId, image: config.image });
    const cause = {
      updateId,
      failedImage: config.image,
      image: config.update?.knownGood.image,
      reason: 'unhealthy' as const,
      message: 'scripted failure',
      checkOutput: 'no answer',
    };
    this.report(container, { kind: 'reverting', ...cause });
    this.run(container, config.update?.knownGood.image ?? '');
    this.report(container, { kind: 'reverted', ...cause, durationMs: 1 });
  }

  private run(container: Container, image: string): void {
    container.image = image;
    container.runGeneration = container.config.runGeneration;
    const on = this.running.get(container.config.containerId) ?? new Set<string>();
    this.running.set(container.config.containerId, on.add(container.config.host));
    this.starts.push(`${container.config.name} ${image}`);
    if (this.failing.has(container.config.name))
      return this.report(container, { kind: 'failed', reason: 'internal-error', message: 'scripted failure' });
    this.report(container, startedBody(image));
  }

  private report(container: Container, body: Partial<ContainerReport> & Pick<ContainerReport, 'kind'>): void {
    const { config } = container;
    const report = {
      ...body,
      host: config.host,
      containerId: config.containerId,
      generation: config.generation,
      after: container.reported ? container.sequence : undefined,
      sequence: ++container.sequence,
      at: new Date().toISOString(),
    };
    container.reported = true;
    // A bus that refuses it fails the test that waits for its effect.
    const envelope = headers();
    envelope.set('ce-correlationid', container.correlationId);
    if (this.beating === undefined) return;
    const subject = hostReport(config.host, config.containerId);
    const published = this.jetstream.publish(subject, JSON.stringify(report), { headers: envelope });
    this.publishing.add(published);
    void published.finally(() => this.publishing.delete(published));
  }
}
