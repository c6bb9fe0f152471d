/** Serves the images that stand in a directory to other machines, at a listener of its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { boundedServer } from '@plinth/service-kit';
import { transfersWithin } from '../domain/token-bucket.js';
import type { InstalledImages } from '../installed-images.js';
import { Pace, sharedPace } from '../pace.js';
import { refuse } from '../serve/http-files.js';
import { ImageServing } from '../serve/image-serving.js';
import { PackedSegments } from '../serve/packed-segments.js';
import { readTokens, type ServeSettings } from './transfer-config.js';

/** Where others reach it: a URL. */
export type ServedAt = string;

export class ImageServer {
  private running: { readonly server: Server; readonly segments: PackedSegments } | undefined;

  /**
   * @param settings undefined: it serves none, and removes what an earlier one has packed
   * @param failed a request could not be answered
   */
  constructor(
    private readonly images: InstalledImages,
    private readonly settings: ServeSettings | undefined,
    private readonly failed: (error: unknown, url: string | undefined) => void,
  ) {}

  async start(): Promise<ServedAt | undefined> {
    const { settings, images } = this;
    const directory = images.layout.packed;
    if (!settings) {
      await rm(directory, { recursive: true, force: true });
      return undefined;
    }
    const segments = new PackedSegments({ images, directory, mostBytes: settings.cacheBytes });
    await segments.start();
    const pace = sharedPace(settings.bytesPerSecond);
    const serving = new ImageServing({
      ...{ images, segments, transfers: transfersWithin(settings.transfers, settings.bytesPerSecond) },
      tokens: () => readTokens(settings.tokenFile),
      ...(pace && { pace: new Pace(pace) }),
    });
    const { tls, host } = settings;
    const server = boundedServer(
      (request, response) => {
        serving.answer(request, response).catch((error: unknown) => {
          this.failed(error, request.url);
          if (response.headersSent) response.destroy();
          else refuse(response, 500, 'the file could not be read');
        });
      },
      tls && { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) },
    );
    server.listen(settings.port, host);
    await once(server, 'listening');
    this.running = { server, segments };
    const own = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}`;
    return settings.url ?? `${own}:${(server.address() as AddressInfo).port}`;
  }

  /** Also ends transfers in progress: receivers go on with others. */
  async stop(): Promise<void> {
    const { running } = this;
    if (!running) return;
    this.running = undefined;
    const closed = once(running.server, 'close');
    running.server.close();
    running.server.closeAllConnections();
    await closed;
    await running.segments.stop();
  }
}
