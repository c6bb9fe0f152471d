/** Publishes the node's masters every few seconds, which also corrects the other services' view after lost messages. */
import { Inject, Injectable } from '@nestjs/common';
import { type StorageHeartbeat, storageHeartbeat } from '@plinth/contracts';
import { CONNECTION, encodeHeartbeat, type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import type { NatsConnection } from 'nats';
import { InstalledImages } from '@plinth/image-transfer';
import { HostLeases } from '../adapters/host-leases.js';
import { VolumeUsage } from '../adapters/volume-usage.js';
import { ServingAddress } from '../adapters/serving-address.js';
import { Revocations } from '../adapters/revocations.js';
import { DistributorConfig } from '../config.js';
import type { StorageNode } from '../domain/targeting.js';
import { DistributionLoop } from './distribution-loop.js';
import { STORAGE_NODE } from '../tokens.js';

@Injectable()
export class Heartbeat {
  private readonly loop: WorkLoop;
  private readonly reportedDamage = new Set<string>();

  constructor(
    @Inject(CONNECTION) private readonly connection: NatsConnection,
    @Inject(STORAGE_NODE) private readonly node: StorageNode,
    @Inject(InstalledImages) private readonly masters: InstalledImages,
    @Inject(Revocations) private readonly revocations: Revocations,
    @Inject(HostLeases) private readonly leases: HostLeases,
    @Inject(ServingAddress) private readonly serving: ServingAddress,
    @Inject(DistributionLoop) private readonly distribution: DistributionLoop,
    @Inject(VolumeUsage) private readonly usage: VolumeUsage,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(DistributorConfig) config: DistributorConfig,
  ) {
    const periodMs = config.PLINTH_HEARTBEAT_SECONDS * 1_000;
    this.loop = new WorkLoop({
      pass: async () => {
        const begun = performance.now();
        await this.beat();
        return { afterMs: periodMs - (performance.now() - begun) };
      },
      retryMs: () => periodMs,
      failed: (error) => this.logger.warn({ err: error }, 'heartbeat not sent; it is tried again in the next period'),
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Does not wait for a heartbeat in progress: it may wait for a disk or a bus that does not answer. */
  stop(): void {
    void this.loop.stop();
  }

  private async beat(): Promise<void> {
    const heartbeat = await this.compose();
    if (this.connection.isClosed()) return;
    const subject = storageHeartbeat(this.node.name);
    this.connection.publish(subject, encodeHeartbeat(subject, heartbeat));
    await this.connection.flush();
  }

  private async compose(): Promise<StorageHeartbeat> {
    const [found, revoked, space, leases, servesAt] = await Promise.all([
      this.masters.list(),
      this.revocations.list(),
      this.masters.space(),
      this.leases.read(),
      this.serving.read(),
    ]);
    const images = found.flatMap(({ image, standing }) => {
      if (standing.state === 'damaged') this.reportDamage(`${image.name}@${image.version}`, standing.problem);
      if (standing.state !== 'complete') return [];
      const { name, version, contentDigest, mountScriptDigest } = standing.installed;
      return [
        {
          name,
          version,
          contentDigest,
          mountScriptDigest,
          ...(revoked.has(`${name}@${version}`) ? { revoked: true } : {}),
        },
      ];
    });
    const { name, labels } = this.node;
    const transfers = this.distribution.transfers();
    return {
      node: name,
      at: new Date().toISOString(),
      datacenter: labels['datacenter'] ?? '',
      labels,
      ...space,
      images,
      leases,
      tenants: this.usage.take(),
      ...(transfers.length > 0 && { transfers: [...transfers] }),
      servesAt,
    };
  }

  private reportDamage(image: string, problem: string): void {
    if (this.reportedDamage.has(image)) return;
    this.reportedDamage.add(image);
    this.logger.error({ image, problem }, 'a master is damaged; it is not offered');
  }
}
