/**
 * Room in this host's own store: what may be removed goes, the least valuable first, until there is enough.
 *
 * A container's image is never removed: its config names it from the moment in which the agent has the config, and the
 * look at the configs and the end of the image's presence are one turn of the event loop.
 */
import { done, failed, type Outcome, type ProducedImage } from '@plinth/image-transfer/domain';
import type { OwnImages } from '../adapters/own-images.js';
import { type ImageUses, type ImageWishes, lackingBytes, removable, type Room } from '../domain/image-supply.js';

/** What the room has to know of everything else. */
export interface RoomContext {
  uses(): ImageUses;
  wishes(): ImageWishes;
  /** It is being filled. */
  isBusy(image: string): boolean;
  /** It is gone. */
  removed(image: string, why: string): void;
}

/** A share of the file system for the store, when nothing else is configured. */
const SHARE = 0.5;
/** Kept free for everything else on the file system. */
const KEPT_SHARE = 0.05;
const KEPT_AT_MOST = 1024 ** 3;
/** As for installations on storage nodes: inodes, directories, the rest of the last block of each file. */
const SPACE_MARGIN = 1.1;

export class ImageRoom {
  private reservedBytes = 0;
  /** What fills since the last measurement may have taken at most. */
  private unmeasuredBytes = 0;
  private isMeasured = false;
  private readonly measurements = new Set<Promise<void>>();
  /** Removals and reservations, one after the other. */
  private turn: Promise<unknown> = Promise.resolve();

  /** @param budgetBytes undefined: a share of the file system @param signal cancels what is in progress */
  constructor(
    private readonly images: OwnImages,
    private readonly context: RoomContext,
    private readonly budgetBytes: number | undefined,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Makes room for an image. @param isNeeded a container waits for it
   * @returns the reserved bytes, for {@link release}
   */
  reserve(produced: ProducedImage, isNeeded: boolean): Promise<Outcome<number>> {
    return this.inTurn(async () => {
      const { archiveBytes, unpackedBytes, name, version } = produced;
      // What another version has too takes no room: how much that is shows when the tree stands.
      const isFirst = !this.images.list().some(({ image }) => image.startsWith(`${name}@`));
      const rest = Math.max(0, archiveBytes - (await this.images.downloadedBytes(produced)));
      const need = { store: isFirst ? unpackedBytes : 0, disk: rest + Math.ceil(unpackedBytes * SPACE_MARGIN) };
      for (;;) {
        const room = await this.room();
        if (this.mayBeLess(room, need.store)) {
          await this.nextMeasurement();
          continue;
        }
        const lacking = lackingBytes(room, need);
        if (lacking <= 0) {
          this.reservedBytes += need.store;
          return done(need.store);
        }
        const victim = this.leastValuable(isNeeded, `${name}@${version}`);
        if (victim === undefined || !(await this.removeNow(victim, `to make room for ${name}@${version}`)))
          return failed(
            'no-space',
            `${lacking} bytes more are needed, and all other images in the store are used or kept`,
          );
      }
    });
  }

  release(bytes: number): void {
    this.reservedBytes -= bytes;
  }

  /** After a fill: what it has taken is measured, and what is too much goes. */
  async fitAgain({ unpackedBytes }: ProducedImage): Promise<void> {
    this.unmeasuredBytes += unpackedBytes;
    await this.measure().finally(() => (this.unmeasuredBytes -= unpackedBytes));
    return this.inTurn(async () => {
      for (;;) {
        const { used, budget } = await this.room();
        const victim = used <= budget ? undefined : this.leastValuable(true);
        if (victim === undefined || !(await this.removeNow(victim, 'the store is full'))) return;
      }
    });
  }

  /** Objects that no image has are removed, and the others measured. */
  measure(): Promise<void> {
    const measurement = this.images
      .collect(this.signal)
      .then(() => {
        this.isMeasured = true;
      })
      .finally(() => this.measurements.delete(measurement));
    this.measurements.add(measurement);
    return measurement;
  }

  /** Unless a container uses it by then. */
  remove(image: string, why: string): Promise<boolean> {
    return this.inTurn(() => this.removeNow(image, why));
  }

  /** Resolves when nothing is in progress. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.turn, ...this.measurements]);
  }

  private leastValuable(isNeeded: boolean, except?: string): string | undefined {
    const candidates = removable(this.images.list(), this.context.uses(), this.context.wishes(), isNeeded);
    return candidates.find((image) => image !== except && !this.context.isBusy(image));
  }

  private async removeNow(image: string, why: string): Promise<boolean> {
    const lock = this.context.isBusy(image) ? undefined : this.images.tryLock(image);
    if (!lock) return false;
    try {
      // See the top of the file.
      if (this.context.uses().inUse.has(image)) return false;
      await this.images.remove(image, this.signal);
    } finally {
      lock.release();
    }
    this.context.removed(image, why);
    return true;
  }

  /** Whether a measurement could show that there is no room. */
  private mayBeLess({ used, reserved, budget }: Room, needed: number): boolean {
    if (!this.isMeasured) return true;
    return this.unmeasuredBytes > 0 && used + this.unmeasuredBytes + reserved + needed > budget;
  }

  private async nextMeasurement(): Promise<void> {
    if (this.measurements.size === 0) await this.measure();
    else await Promise.allSettled(this.measurements);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.turn.then(work);
    this.turn = turn.catch(() => undefined);
    return turn;
  }

  private async room(): Promise<Room> {
    const { totalBytes, freeBytes } = await this.images.space();
    return {
      used: this.images.usedBytes,
      budget: this.budgetBytes ?? Math.floor(totalBytes * SHARE),
      free: freeBytes,
      kept: Math.min(KEPT_AT_MOST, Math.floor(totalBytes * KEPT_SHARE)),
      reserved: this.reservedBytes,
    };
  }
}
