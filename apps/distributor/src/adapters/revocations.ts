/** Stores the revoked versions, with or without a master here: a revocation may arrive before its image. */
import { Inject, Injectable } from '@nestjs/common';
import { readdir } from 'node:fs/promises';
import { type ImageRevoked, parseExactImageRef } from '@plinth/contracts';
import type { ImageVersion } from '@plinth/image-transfer';
import { StorageLayout } from '../domain/storage-layout.js';
import { writeDurably } from '@plinth/host-os';

@Injectable()
export class Revocations {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  async add(revoked: ImageRevoked, at: string): Promise<void> {
    await writeDurably(this.layout.revocation(revoked), `${JSON.stringify({ ...revoked, at })}\n`);
  }

  async list(): Promise<ReadonlySet<string>> {
    const files = await readdir(this.layout.revoked);
    return new Set(
      files.map((file) => file.replace(/\.json$/, '')).filter((ref) => parseExactImageRef(ref) !== undefined),
    );
  }

  async has({ name, version }: ImageVersion): Promise<boolean> {
    return (await this.list()).has(`${name}@${version}`);
  }
}
