/**
 * The node's own journal: one file per promotion in progress. It is written before the promotion is acknowledged
 * on the bus, and removed after its last report was stored there.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePayload, ImagePromoted, MasterReport } from '@plinth/contracts';
import { parseDocument } from '@plinth/image-transfer';
import type { ImageVersion } from '@plinth/image-transfer';
import type { WantedImage } from '../domain/wanted-image.js';
import { hasCode, removeTemporaries, unlessMissing, writeDurably } from '@plinth/host-os';

/** A file that a distributor of this node may still be writing is younger than this. */
export const ABANDONED_MS = 60_000;
/** A few hundred journal files. */
const RESERVE_BYTES = 1024 ** 2;

export class WantedStore {
  constructor(private readonly directory: string) {}

  /** Does nothing when this promotion is already there: its state of tries is kept. */
  async add(wanted: WantedImage): Promise<void> {
    const file = fileOf(wanted);
    const exists = await stat(join(this.directory, file)).then(() => true, unlessMissing(false));
    if (!exists) await this.save(wanted);
  }

  async save(wanted: WantedImage): Promise<void> {
    const write = (): Promise<void> =>
      writeDurably(join(this.directory, fileOf(wanted)), `${JSON.stringify(wanted)}\n`);
    await write().catch(async (error: unknown) => {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
      // A full disk must not lose a promotion, nor the report that the disk is full.
      await rm(this.reserve, { force: true });
      await write();
    });
  }

  /** Reserves space for the journal on a disk that other processes may fill. */
  async holdReserve(freeBytes: number): Promise<void> {
    const exists = await stat(this.reserve).then(() => true, unlessMissing(false));
    if (!exists && freeBytes >= 2 * RESERVE_BYTES) await writeFile(this.reserve, Buffer.alloc(RESERVE_BYTES, '.'));
  }

  private get reserve(): string {
    return join(this.directory, '.reserve');
  }

  async remove(wanted: WantedImage): Promise<void> {
    await rm(join(this.directory, fileOf(wanted)), { force: true });
  }

  /** Whether an installation of the version waits or is in progress. */
  async has({ name, version }: ImageVersion): Promise<boolean> {
    return (await this.list()).some((file) => file.startsWith(`${name}@${version}.`));
  }

  /** File names for {@link read}. */
  async list(): Promise<string[]> {
    return (await readdir(this.directory)).filter((file) => file.endsWith('.json') && !file.startsWith('.')).sort();
  }

  /** @returns undefined when it is gone, or was set aside because it can't be read */
  async read(file: string): Promise<WantedImage | undefined> {
    const path = join(this.directory, file);
    const body = await readFile(path).catch(unlessMissing(undefined));
    if (body === undefined) return undefined;
    const wanted = parseWanted(body);
    if (!wanted || fileOf(wanted) !== file) {
      await rename(path, `${path}.unreadable`);
      return undefined;
    }
    return wanted;
  }

  /** Removes writes that no process will finish. */
  async tidy(now: number): Promise<void> {
    await removeTemporaries(this.directory, ABANDONED_MS, now);
  }
}

/**
 * One file per event: a promotion that comes while an earlier one of the same image is in progress does not touch its
 * file.
 */
function fileOf({ promotion, eventId }: WantedImage): string {
  return `${promotion.name}@${promotion.version}.${createHash('sha256').update(eventId).digest('hex').slice(0, 16)}.json`;
}

function parseWanted(body: Uint8Array): WantedImage | undefined {
  const value = parseDocument(body) as WantedImage | null | undefined;
  if (value?.schema !== 1) return undefined;
  const promotion = decodePayload(ImagePromoted, Buffer.from(JSON.stringify(value.promotion ?? null)), 'ignored');
  const report =
    value.report === undefined
      ? undefined
      : decodePayload(MasterReport, Buffer.from(JSON.stringify(value.report)), 'ignored');
  if (!promotion.ok || report?.ok === false) return undefined;
  const { attempts, stuck, strikes } = value.retry ?? {};
  const counts = [attempts, stuck, strikes, value.notBefore].every(
    (count) => Number.isSafeInteger(count) && Number(count) >= 0,
  );
  const texts = [value.eventId, value.correlationId, value.wantedAt].every(
    (field) => typeof field === 'string' && field !== '',
  );
  return counts && texts ? { ...value, promotion: promotion.value, report: report?.value } : undefined;
}
