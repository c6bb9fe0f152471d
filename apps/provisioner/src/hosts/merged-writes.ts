/** What arrives during one write is written together in the next; of what has one name, one. */
export class MergedWrites<T, R> {
  private arriving = new Map<string, T>();
  /** Writes what has arrived when it begins; undefined: none is due. */
  private next: Promise<R> | undefined;
  private current: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly nameOf: (item: T) => string,
    /** Of one that waits and the next of its name, what is written. */
    private readonly merge: (waiting: T, next: T) => T,
    private readonly write: (items: readonly T[]) => Promise<R>,
  ) {}

  /** Resolves when they are written. */
  take(items: readonly T[]): Promise<R> {
    for (const item of items) {
      const name = this.nameOf(item);
      const waiting = this.arriving.get(name);
      this.arriving.set(name, waiting === undefined ? item : this.merge(waiting, item));
    }
    this.next ??= this.writeNext();
    return this.next;
  }

  private writeNext(): Promise<R> {
    const written = this.current.then(() => {
      const items = [...this.arriving.values()];
      this.arriving = new Map();
      this.next = undefined;
      return this.write(items);
    });
    this.current = written.catch(() => undefined);
    return written;
  }
}
