/** Stores the promotion of each installed version: where it can be fetched again. */
import { Inject, Injectable } from '@nestjs/common';
import { readFile, rm } from 'node:fs/promises';
import { decodePayload, ImagePromoted } from '@plinth/contracts';
import { unlessMissing, writeDurably } from '@plinth/host-os';
import type { ImageVersion } from '@plinth/image-transfer';
import { StorageLayout } from '../domain/storage-layout.js';

@Injectable()
export class Origins {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  async store(promotion: ImagePromoted): Promise<void> {
    await writeDurably(this.layout.origin(promotion), `${JSON.stringify(promotion)}\n`);
  }

  /** @returns undefined for versions that were installed by an earlier version of this service */
  async read(image: ImageVersion): Promise<ImagePromoted | undefined> {
    const body = await readFile(this.layout.origin(image)).catch(unlessMissing(undefined));
    const decoded = body && decodePayload(ImagePromoted, body, 'ignored');
    return decoded?.ok && decoded.value.name === image.name && decoded.value.version === image.version
      ? decoded.value
      : undefined;
  }

  async remove(image: ImageVersion): Promise<void> {
    await rm(this.layout.origin(image), { force: true });
  }
}
