/**
 * What hosts hold in stores of their own, in memory: read for those that have reported something else since. It is only
 * good for preferring one host to another.
 */
import type { EntityManager } from 'typeorm';
import { HostBits, type HostNames } from './domain/host-bits.js';
import { storeContents, storeReports } from './placement.store.js';

/** Hosts that are read at once: each may hold a thousand images. */
const AT_ONCE = 200;

export class HeldImages {
  private readonly bits = new HostBits();
  /** What was read of each host, by number of its report. */
  private readonly known = new Map<string, string>();
  private isReading = false;

  /** @param failed gets what kept it from reading; what was known stays */
  constructor(
    private readonly manager: EntityManager,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** Hosts with the image, `name@version`. */
  of(image: string): HostNames {
    return this.bits.of(image);
  }

  /** Reads beside the work. */
  refresh(): void {
    if (this.isReading) return;
    this.isReading = true;
    this.read()
      .catch(this.failed)
      .finally(() => (this.isReading = false));
  }

  private async read(): Promise<void> {
    const reports = await storeReports(this.manager);
    const changed = [...reports].flatMap(([host, report]) => (this.known.get(host) === report ? [] : [host]));
    for (let begin = 0; begin < changed.length; begin += AT_ONCE)
      for (const { host, report, images } of await storeContents(this.manager, changed.slice(begin, begin + AT_ONCE))) {
        this.bits.set(host, images);
        this.known.set(host, report);
      }
  }
}
