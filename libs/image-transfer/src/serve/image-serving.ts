/**
 * Serves the versions that stand complete on this machine to others: documents as they are, contents as segments that
 * are packed from the tree. Nothing else below the directory can be named.
 */
import { readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type SignedStatement, VERSION_FILES } from '@plinth/contracts';
import { digestOf } from '@plinth/image-trust';
import { parseDocument } from '../domain/json-document.js';
import { parsePeerPath, type PeerDocument } from '../domain/peer-paths.js';
import type { ImageVersion } from '../domain/store-layout.js';
import type { InstalledImages } from '../installed-images.js';
import type { Pace } from '../pace.js';
import { askLater, refuse, refuseForeign, sendFile, type ServedFile } from './http-files.js';
import type { PackedSegments } from './packed-segments.js';

export interface ImageServingOptions {
  readonly images: InstalledImages;
  readonly segments: PackedSegments;
  /** Each of them is accepted; read for each request. */
  readonly tokens: () => readonly string[];
  /** Segments that are packed or sent at once; more receivers are asked to come again. */
  readonly transfers: number;
  /** Rate of all that is sent; absent: as fast as receivers take it. */
  readonly pace?: Pace;
}

/** How long a receiver waits before it asks again, s. */
const BUSY_SECONDS = 1;

export class ImageServing {
  private active = 0;
  private sent = 0;

  constructor(private readonly options: ImageServingOptions) {}

  /** Bytes that receivers were sent since the start, as announced. */
  get sentBytes(): number {
    return this.sent;
  }

  /** @throws what reading or packing throws; the caller closes the response */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (refuseForeign(request, response, this.options.tokens())) return;
    const wanted = parsePeerPath(request.url ?? '');
    if (!wanted || (await this.options.images.find(wanted.image)).state !== 'complete') {
      refuse(response, 404, 'no such file of an image that stands here');
      return;
    }
    if ('document' in wanted) return this.send(request, response, await this.document(wanted.image, wanted.document));
    if (this.active >= this.options.transfers) {
      askLater(response, BUSY_SECONDS, 'others are being served');
      return;
    }
    this.active++;
    try {
      const { segments } = this.options;
      const packed =
        'segment' in wanted
          ? await segments.find(wanted.image, wanted.base, wanted.segment)
          : await segments.findManifest(wanted.image, wanted.manifestAgainst);
      if (packed) await this.send(request, response, packed);
      else refuse(response, 404, 'no such segment, or no such version to start from');
    } finally {
      this.active--;
    }
  }

  private async send(request: IncomingMessage, response: ServerResponse, file: ServedFile): Promise<void> {
    await sendFile(request, response, file, this.options.pace);
    if (request.method === 'GET') this.sent += Number(response.getHeader('content-length') ?? 0);
  }

  private async document(image: ImageVersion, document: PeerDocument): Promise<ServedFile> {
    const { layout } = this.options.images;
    const type = document.endsWith('.json') ? 'application/json' : 'text/x-shellscript';
    if (document === VERSION_FILES.manifest) {
      const path = layout.manifest(image);
      const statement = parseDocument(await readFile(layout.statement(image))) as SignedStatement;
      return { path, bytes: (await stat(path)).size, etag: `"${statement.manifestDigest}"`, type };
    }
    const path = document === VERSION_FILES.statement ? layout.statement(image) : layout.mountScript(image);
    const bytes = await readFile(path);
    return { path, bytes: bytes.length, etag: `"${digestOf(bytes)}"`, type };
  }
}
