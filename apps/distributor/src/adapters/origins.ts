/** Stores the promotion of each installed version: where it can be fetched again. */
import { Inject, Injectable } from '@nestjs/common';
import { readFile, rm } from 'node:fs/promises';
import { decodePayload, ImagePromoted } from '@plinth/contracts';
import { unlessMissing, writeDurably } from '@plinth/host-os';
import { type ImageVersion, parseDocument } from '@plinth/image-transfer';
import { StorageLayout } from '../domain/storage-layout.js';

@Injectable()
export class Origins {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  /** @param promotionId id of the event */
  async store(promotion: ImagePromoted, promotionId: string): Promise<void> {
    await writeDurably(this.layout.origin(promotion), `${JSON.stringify({ ...promotion, promotionId })}\n`);
  }

  /** Of the promotion for which the version was installed last; undefined: not known. */
  async promotionIdOf(image: ImageVersion): Promise<string | undefined> {
    const body = await readFile(this.layout.origin(image)).catch(unlessMissing(undefined));
    const { promotionId } = ((body && parseDocument(body)) ?? {}) as { promotionId?: unknown };
    return typeof promotionId === 'string' ? promotionId : undefined;
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
