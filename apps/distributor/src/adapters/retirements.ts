/** Stores the retired versions: none of them is installed again, and pending removals and reports survive a crash. */
import { Inject, Injectable } from '@nestjs/common';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { parseExactImageRef } from '@plinth/contracts';
import { type ImageVersion, parseDocument } from '@plinth/image-transfer';
import { StorageLayout } from '../domain/storage-layout.js';
import { ABANDONED_MS } from './wanted-store.js';
import { removeTemporaries, unlessMissing, writeDurably } from '@plinth/host-os';

/** A retirement whose master is not yet removed, or whose removal is not yet known to be reported. */
export interface Removal {
  readonly image: ImageVersion;
  /** Event id of the retirement. */
  readonly eventId: string;
  readonly correlationId: string;
}

@Injectable()
export class Retirements {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  /** Durable when it returns. A repeated call makes the removal pending again. */
  async add(
    image: ImageVersion,
    event: { readonly id: string; readonly correlationId: string; readonly time: string },
  ): Promise<void> {
    const { name, version } = image;
    // The ban on installations is written first, so that no version is installed between the two writes and then never
    // removed.
    await writeDurably(this.layout.retirement(image), `${JSON.stringify({ name, version, at: event.time })}\n`);
    await writeDurably(
      this.layout.removal(image),
      `${JSON.stringify({ eventId: event.id, correlationId: event.correlationId })}\n`,
    );
  }

  has(image: ImageVersion): Promise<boolean> {
    return stat(this.layout.retirement(image)).then(() => true, unlessMissing(false));
  }

  async pending(): Promise<ImageVersion[]> {
    const files = await readdir(this.layout.retiring);
    return files.flatMap((file) => parseExactImageRef(file.replace(/\.json$/, '')) ?? []);
  }

  /** @returns undefined when the removal is finished */
  async read(image: ImageVersion): Promise<Removal | undefined> {
    const body = await readFile(this.layout.removal(image)).catch(unlessMissing(undefined));
    if (body === undefined) return undefined;
    const { eventId, correlationId } = (parseDocument(body) ?? {}) as Partial<Removal>;
    // A damaged file still has the version in its name.
    return { image, eventId: String(eventId ?? ''), correlationId: String(correlationId ?? '') };
  }

  async tidy(now: number): Promise<void> {
    for (const directory of [this.layout.retired, this.layout.retiring])
      await removeTemporaries(directory, ABANDONED_MS, now);
  }

  async finish(image: ImageVersion): Promise<void> {
    await rm(this.layout.removal(image), { force: true });
  }
}
