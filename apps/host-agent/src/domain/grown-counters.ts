/**
 * Adds up counters of many containers, each of which begins again at 0 with its container, to one that only grows: by
 * what each has grown since it was read last. What one counts between the last reading and its end is not seen. Pure.
 */
export class GrownCounters {
  private last: ReadonlyMap<string, number> | undefined;
  private sum = 0;

  /** @param counters all of them, by container @returns what has been counted since the first reading */
  read(counters: ReadonlyMap<string, number>): number {
    for (const [id, value] of counters) {
      const before = this.last ? (this.last.get(id) ?? 0) : value;
      this.sum += value >= before ? value - before : value;
    }
    this.last = new Map(counters);
    return this.sum;
  }
}
