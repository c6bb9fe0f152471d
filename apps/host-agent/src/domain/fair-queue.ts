/**
 * A bounded number of places, assigned to the waiting tenants in turn: one tenant's thousand starts do not delay
 * another's first.
 */
export class FairQueue {
  private taken = 0;
  /** In the order in which tenants get their next place. */
  private readonly waiting = new Map<string, (() => void)[]>();

  constructor(private readonly places: number) {}

  /** How many wait for a place. */
  get length(): number {
    return [...this.waiting.values()].reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Resolves when a place is free; the caller returns it with {@link release}. */
  acquire(tenant: string): Promise<void> {
    if (this.taken < this.places) {
      this.taken++;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const queue = this.waiting.get(tenant);
      if (queue) queue.push(resolve);
      else this.waiting.set(tenant, [resolve]);
    });
  }

  release(): void {
    const next = this.waiting.entries().next();
    if (next.done === true) {
      this.taken--;
      return;
    }
    const [tenant, queue] = next.value;
    const resolve = queue.shift();
    // A tenant that waits for more places goes to the end of the round.
    this.waiting.delete(tenant);
    if (queue.length > 0) this.waiting.set(tenant, queue);
    resolve?.();
  }
}
