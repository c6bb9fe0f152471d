/** Serves this node's images to other nodes and hosts, and notes where. */
import { Inject, Injectable } from '@nestjs/common';
import { InstalledImages } from '@plinth/image-transfer';
import { ImageServer, type ServeSettings, serveSettings } from '@plinth/image-transfer/service';
import { type Logger, LOGGER } from '@plinth/service-kit';
import { DistributorConfig } from '../config.js';
import { ServingAddress } from './serving-address.js';

@Injectable()
export class NodeServer {
  private server: ImageServer | undefined;

  constructor(
    @Inject(DistributorConfig) private readonly config: DistributorConfig,
    @Inject(InstalledImages) private readonly images: InstalledImages,
    @Inject(ServingAddress) private readonly address: ServingAddress,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws ConfigError for what is wrong before it serves */
  check(): void {
    this.settings();
  }

  /** Where the node is not to serve, it only removes what is left of it. Called by the one distributor that leads. */
  async start(): Promise<void> {
    const server = new ImageServer(this.images, this.settings(), (error, url) =>
      this.logger.error({ err: error, url }, 'a version could not be served'),
    );
    const url = await server.start();
    if (url === undefined) return this.address.clear();
    this.server = server;
    await this.address.store(url);
    this.logger.info({ url }, 'images are served');
  }

  /** Also ends transfers in progress: receivers go on with others. */
  async stop(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = undefined;
    await this.address.clear();
    await server.stop();
  }

  private settings(): ServeSettings | undefined {
    return serveSettings(this.config);
  }
}
