/**
 * HTTP download of images in production: GET and HEAD, conditions and single ranges (RFC 9110), for clients with the
 * token (RFC 6750). It has a listener of its own: health and metrics stay reachable from this machine only.
 */
import { Inject, Injectable } from '@nestjs/common';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseExactImageRef } from '@plinth/contracts';
import { askLater, Pace, refuse, refuseForeign, sendFile, type ServedFile, sharedPace } from '@plinth/image-transfer';
import { boundedServer, type Logger, LOGGER, readSecret } from '@plinth/service-kit';
import { ImageBuilderConfig } from '../../config.js';
import { Deltas } from './deltas.js';
import { ImageDownloads } from './image-downloads.js';

/** How long a receiver waits before it asks again for a delta that is being made, s. */
const MAKING_SECONDS = 1;
const DELTA_PATH = /^\/images\/([^/?]+)\/([^/?]+)\/delta\/([^/?]+)\/([^/?]+)$/;
const PATH = /^\/images\/([^/?]+)\/([^/?]+)\/([^/?]+)$/;

@Injectable()
export class DownloadServer {
  private server: Server | undefined;

  constructor(
    @Inject(ImageBuilderConfig) private readonly config: ImageBuilderConfig,
    @Inject(ImageDownloads) private readonly downloads: ImageDownloads,
    @Inject(Deltas) private readonly deltas: Deltas,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** @throws CredentialsError when the token's file is missing or open to others */
  async start(): Promise<void> {
    const {
      PLINTH_DOWNLOAD_HOST: host,
      PLINTH_DOWNLOAD_TLS_CERT: certFile,
      PLINTH_DOWNLOAD_TLS_KEY: keyFile,
      PLINTH_DOWNLOAD_TOKEN_FILE: tokenFile,
    } = this.config;
    readTokens(tokenFile);
    const tls =
      certFile === undefined || keyFile === undefined
        ? undefined
        : { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    const rate = this.config.PLINTH_SERVE_MIB_PER_SECOND;
    const pace = sharedPace(rate === undefined ? undefined : rate * 1024 ** 2);
    const server = boundedServer((request, response) => {
      answer(request, response, tokenFile, this.downloads, this.deltas, pace && new Pace(pace)).catch(
        (error: unknown) => {
          this.logger.error({ err: error }, 'a download failed');
          if (response.headersSent) response.destroy();
          else refuse(response, 500, 'the file could not be read');
        },
      );
    }, tls);
    server.listen(this.config.PLINTH_DOWNLOAD_PORT, host);
    await once(server, 'listening');
    this.server = server;
    const { port } = server.address() as AddressInfo;
    const url = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.logger.info({ url }, 'downloads are served');
  }

  /** Also ends transfers in progress: the receiver continues later. */
  async stop(): Promise<void> {
    if (!this.server) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  tokenFile: string,
  downloads: ImageDownloads,
  deltas: Deltas,
  pace: Pace | undefined,
): Promise<void> {
  if (refuseForeign(request, response, readTokens(tokenFile))) return;
  const found = await find(request.url ?? '', downloads, deltas);
  if (found === 'making') {
    askLater(response, MAKING_SECONDS, 'the delta is being made');
    return;
  }
  if (!found) {
    refuse(response, 404, 'no such file of an image in production');
    return;
  }
  await sendFile(request, response, found, pace);
}

async function find(
  url: string,
  downloads: ImageDownloads,
  deltas: Deltas,
): Promise<ServedFile | 'making' | undefined> {
  const [, name = '', version = '', base, file = ''] = DELTA_PATH.exec(url) ?? [];
  if (base === undefined) {
    const [, image = '', number = '', part = ''] = PATH.exec(url) ?? [];
    return downloads.find(image, number, part);
  }
  const [next, from] = [parseExactImageRef(`${name}@${version}`), parseExactImageRef(base)];
  if (!next || !from) return undefined;
  const delta = await deltas.find(next, from);
  if (typeof delta === 'string') return delta === 'making' ? 'making' : undefined;
  return downloads.findInDelta(delta.directory, file);
}

function readTokens(file: string): readonly string[] {
  return readSecret(file).toString('latin1').split(/\s+/).filter(Boolean);
}
