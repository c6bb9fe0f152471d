/** Pairs of namespaces that are ready before a container is known: a start takes one, and others are made later. */
import {
  discardNamespaces,
  mapNamespaces,
  openNamespaces,
  type OwnNamespaces,
  pathOfDescriptor,
  prepareNamespaces,
  type PreparedNamespaces,
} from './user-namespace.js';

/** Each takes some 250 KiB of the kernel's memory. */
const READY = 4;
/** Of quiet: starts, and the reports of them, come before their successors' namespaces. */
const REFILL_AFTER_MS = 20;

export class NamespacePool {
  private readonly ready: PreparedNamespaces[] = [];
  private refill: NodeJS.Timeout | undefined;
  private starts = 0;
  /** Whether it is to be filled. */
  private isWanted = false;
  private prepareNetwork: ((namespace: string) => void) | undefined;

  /** @param prepare makes in each network, whose path it gets, what does not depend on a container; does not throw */
  prepareNetworksBy(prepare: (namespace: string) => void): void {
    this.prepareNetwork = prepare;
  }

  /** Of a start: until its end none is made ready. */
  begin(): void {
    this.starts += 1;
    clearTimeout(this.refill);
  }

  /** As often as {@link begin}. */
  end(): void {
    this.starts -= 1;
    if (this.isWanted) this.refillLater();
  }

  /** As {@link openNamespaces}; with the host's users none is ready. @throws SystemCallError */
  take(hostId: number | undefined, size: number): OwnNamespaces {
    if (hostId === undefined) return openNamespaces(hostId, size);
    this.isWanted = true;
    if (this.starts === 0) this.refillLater();
    const prepared = this.ready.shift();
    return prepared ? mapNamespaces(prepared, hostId, size) : openNamespaces(hostId, size);
  }

  get size(): number {
    return this.ready.length;
  }

  close(): void {
    this.isWanted = false;
    clearTimeout(this.refill);
    for (const prepared of this.ready.splice(0)) discardNamespaces(prepared);
  }

  private refillLater(): void {
    clearTimeout(this.refill);
    this.refill = setTimeout(() => {
      if (this.starts > 0) return;
      this.isWanted = this.ready.length < READY;
      if (!this.isWanted) return;
      let prepared: PreparedNamespaces;
      try {
        prepared = prepareNamespaces();
      } catch {
        // A start that needs one fails with the reason.
        return;
      }
      this.ready.push(prepared);
      this.prepareNetwork?.(pathOfDescriptor(prepared.network));
      this.refillLater();
    }, REFILL_AFTER_MS);
    this.refill.unref();
  }
}
