/** Pairs of namespaces that are ready before a container is known: a start takes one, and others are made later. */
import {
  discardNamespaces,
  mapNamespaces,
  openNamespaces,
  type OwnNamespaces,
  prepareNamespaces,
  type PreparedNamespaces,
} from './user-namespace.js';

/** Each takes some 250 KiB of the kernel's memory. */
const READY = 4;
/** Of quiet: starts come before their successors' namespaces. */
const REFILL_AFTER_MS = 20;

export class NamespacePool {
  private readonly ready: PreparedNamespaces[] = [];
  private refill: NodeJS.Timeout | undefined;

  /** As {@link openNamespaces}; with the host's users none is ready. @throws SystemCallError */
  take(hostId: number | undefined, size: number): OwnNamespaces {
    if (hostId === undefined) return openNamespaces(hostId, size);
    this.refillLater();
    const prepared = this.ready.pop();
    return prepared ? mapNamespaces(prepared, hostId, size) : openNamespaces(hostId, size);
  }

  get size(): number {
    return this.ready.length;
  }

  close(): void {
    clearTimeout(this.refill);
    for (const prepared of this.ready.splice(0)) discardNamespaces(prepared);
  }

  private refillLater(): void {
    clearTimeout(this.refill);
    this.refill = setTimeout(() => {
      if (this.ready.length >= READY) return;
      try {
        this.ready.push(prepareNamespaces());
      } catch {
        // A start that needs one fails with the reason.
        return;
      }
      this.refillLater();
    }, REFILL_AFTER_MS);
    this.refill.unref();
  }
}
