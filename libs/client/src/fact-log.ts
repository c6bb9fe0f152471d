/** Facts in the order of their arrival, and the callers that wait for one of them. */
export class FactLog<F> {
  private readonly seen: F[] = [];
  private readonly waiting = new Set<() => void>();
  private ended = false;

  /** All that have arrived, oldest first. */
  get all(): readonly F[] {
    return this.seen;
  }

  /** No more will come. */
  get isClosed(): boolean {
    return this.ended;
  }

  add(fact: F): void {
    this.seen.push(fact);
    this.wakeAll();
  }

  /**
   * The first fact, already arrived or still to come, that fits; undefined when the time is over or the log is closed
   * before.
   * @param fits asked once about each fact
   */
  async within(fits: (fact: F) => boolean, timeoutMs: number): Promise<F | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (let next = 0; ;) {
      for (; next < this.seen.length; next++) {
        const fact = this.seen[next];
        if (fact !== undefined && fits(fact)) return fact;
      }
      const left = deadline - performance.now();
      if (left <= 0 || this.ended) return undefined;
      await this.nextOrTimeout(left);
    }
  }

  /** Callers that wait get their answer now. */
  close(): void {
    this.ended = true;
    this.wakeAll();
  }

  private nextOrTimeout(milliseconds: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.waiting.add(wake);
    });
  }

  private wakeAll(): void {
    for (const wake of [...this.waiting]) wake();
  }
}
