/**
 * One distributor of a storage node receives what is in production and serves images; another takes over when it ends.
 * All of them install: the journal on the disk is theirs in common.
 */
import { Inject, Injectable } from '@nestjs/common';
import { type Logger, LOGGER, WorkLoop } from '@plinth/service-kit';
import { NodeServer } from '../adapters/node-server.js';
import { ProductionWatch } from '../adapters/production-watch.js';
import { ServingAddress } from '../adapters/serving-address.js';
import { ProductionFollowing } from './production-following.js';

/** How soon another takes over. */
const PERIOD_MS = 1_000;

@Injectable()
export class NodeLead {
  private lock: ReturnType<ServingAddress['tryLead']>;
  private readonly loop: WorkLoop;

  constructor(
    @Inject(ServingAddress) private readonly address: ServingAddress,
    @Inject(NodeServer) private readonly server: NodeServer,
    @Inject(ProductionWatch) private readonly watch: ProductionWatch,
    @Inject(ProductionFollowing) private readonly following: ProductionFollowing,
    @Inject(LOGGER) logger: Logger,
  ) {
    this.loop = new WorkLoop({
      pass: () => this.lead(),
      periodMs: PERIOD_MS,
      failed: (error) => logger.error({ err: error }, 'this distributor can not serve or receive; it is tried again'),
    });
  }

  /** @throws ConfigError */
  start(): void {
    this.server.check();
    this.loop.start();
  }

  async stop(): Promise<void> {
    await this.loop.stop();
    if (!this.lock) return;
    await this.watch.stop();
    await this.following.stop();
    await this.server.stop();
    this.lock.release();
    this.lock = undefined;
  }

  private async lead(): Promise<void> {
    if (this.lock) return;
    const lock = this.address.tryLead();
    if (!lock) return;
    try {
      await this.server.start();
    } catch (error) {
      lock.release();
      throw error;
    }
    this.lock = lock;
    this.following.start();
    this.watch.start((image) => this.following.take(image));
  }
}
