/**
 * What is in production, as this node has received it: one file a version, for all distributors of the node. The bus has
 * the truth, and gives all of it again at each start.
 */
import { Inject, Injectable } from '@nestjs/common';
import { readdir, readFile } from 'node:fs/promises';
import { decodePayload, parseExactImageRef, ProductionImage } from '@plinth/contracts';
import { hasCode, removeTemporaries, unlessMissing, writeWhole } from '@plinth/host-os';
import type { ImageVersion } from '@plinth/image-transfer';
import { StorageLayout } from '../domain/storage-layout.js';
import { ABANDONED_MS } from './wanted-store.js';

@Injectable()
export class ProductionRecords {
  /** For which the disk has no room. */
  private readonly unwritten = new Map<string, ProductionImage>();

  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  async save(image: ProductionImage): Promise<void> {
    const path = this.layout.productionRecord(image);
    try {
      await writeWhole(path, `${JSON.stringify(image)}\n`);
      this.unwritten.delete(path);
    } catch (error) {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
      // A full disk keeps nobody from receiving what is in production, and what may be removed for it.
      this.unwritten.set(path, image);
    }
  }

  /** @returns undefined for one that was not received, or that a power cut has damaged */
  async read(image: ImageVersion): Promise<ProductionImage | undefined> {
    const unwritten = this.unwritten.get(this.layout.productionRecord(image));
    if (unwritten) return unwritten;
    const body = await readFile(this.layout.productionRecord(image)).catch(unlessMissing(undefined));
    const decoded = body && decodePayload(ProductionImage, body, 'ignored');
    return decoded?.ok && decoded.value.name === image.name && decoded.value.version === image.version
      ? decoded.value
      : undefined;
  }

  async list(): Promise<readonly ImageVersion[]> {
    const files = await readdir(this.layout.production);
    const unwritten = [...this.unwritten.values()].map(({ name, version }) => `${name}@${version}.json`);
    return [...new Set([...files, ...unwritten])].flatMap(
      (file) => parseExactImageRef(file.replace(/\.json$/, '')) ?? [],
    );
  }

  async tidy(now: number): Promise<void> {
    await removeTemporaries(this.layout.production, ABANDONED_MS, now);
  }
}
