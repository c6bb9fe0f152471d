/** Serves this node's images to other nodes and hosts, at a listener of its own. */
import { Inject, Injectable } from '@nestjs/common';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ImageServing, InstalledImages, PackedSegments, refuse } from '@plinth/image-transfer';
import { boundedServer, ConfigError, type Logger, LOGGER, readSecret } from '@plinth/service-kit';
import { DistributorConfig } from '../config.js';
import { StorageLayout } from '../domain/storage-layout.js';
import { ServingAddress } from './serving-address.js';

const MIB = 1024 ** 2;

@Injectable()
export class ImageServer {
  private running: { readonly server: Server; readonly segments: PackedSegments } | undefined;

  constructor(
    @Inject(DistributorConfig) private readonly config: DistributorConfig,
    @Inject(StorageLayout) private readonly layout: StorageLayout,
    @Inject(InstalledImages) private readonly images: InstalledImages,
    @Inject(ServingAddress) private readonly address: ServingAddress,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws ConfigError for what is wrong before it serves */
  check(): void {
    const { PLINTH_SERVE_PORT: port, PLINTH_DOWNLOAD_TOKEN_FILE: tokens } = this.config;
    if (port !== undefined && tokens === undefined)
      throw new ConfigError(['PLINTH_DOWNLOAD_TOKEN_FILE is needed to serve images: others send a token of it']);
  }

  /** Does nothing where the node is not to serve. Called by the one distributor of the node that serves. */
  async start(): Promise<void> {
    const { PLINTH_SERVE_PORT: port, PLINTH_SERVE_HOST: host } = this.config;
    if (port === undefined) {
      await rm(this.layout.packed, { recursive: true, force: true });
      return this.address.clear();
    }
    const segments = new PackedSegments({
      images: this.images,
      directory: this.layout.packed,
      mostBytes: this.config.PLINTH_SERVE_CACHE_MIB * MIB,
    });
    await segments.start();
    const serving = new ImageServing({
      ...{ images: this.images, segments, transfers: this.config.PLINTH_SERVE_TRANSFERS },
      tokens: () => this.tokens(),
    });
    const tls = this.certificate();
    const server = boundedServer((request, response) => {
      serving.answer(request, response).catch((error: unknown) => {
        this.logger.error({ err: error, url: request.url }, 'a version could not be served');
        if (response.headersSent) response.destroy();
        else refuse(response, 500, 'the file could not be read');
      });
    }, tls);
    server.listen(port, host);
    await once(server, 'listening');
    this.running = { server, segments };
    const own = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}`;
    const url = this.config.PLINTH_SERVE_URL ?? `${own}:${(server.address() as AddressInfo).port}`;
    await this.address.store(url);
    this.logger.info({ url }, 'images are served');
  }

  /** Also ends transfers in progress: receivers go on with others. */
  async stop(): Promise<void> {
    const { running } = this;
    if (!running) return;
    this.running = undefined;
    await this.address.clear();
    const closed = once(running.server, 'close');
    running.server.close();
    running.server.closeAllConnections();
    await closed;
    await running.segments.stop();
  }

  private tokens(): readonly string[] {
    const file = this.config.PLINTH_DOWNLOAD_TOKEN_FILE;
    return file === undefined ? [] : readSecret(file).toString('latin1').split(/\s+/).filter(Boolean);
  }

  private certificate(): { readonly cert: Buffer; readonly key: Buffer } | undefined {
    const { PLINTH_SERVE_TLS_CERT: cert, PLINTH_SERVE_TLS_KEY: key } = this.config;
    return cert === undefined || key === undefined ? undefined : { cert: readFileSync(cert), key: readFileSync(key) };
  }
}
