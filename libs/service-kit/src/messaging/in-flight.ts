/** Bounds the work in progress, and keeps work of one key in its order. */
export class InFlight {
  private running = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly tails = new Map<string, Promise<void>>();
  private idle: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.running;
  }

  /** Waits for a free place, then starts the work; resolves when it has started. The work must not reject. */
  async start(key: string | undefined, work: () => Promise<void>): Promise<void> {
    if (this.running >= this.limit) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running++;
    const before = key === undefined ? undefined : this.tails.get(key);
    const done = (before ? before.then(work) : work()).finally(() => this.release());
    if (key !== undefined) {
      this.tails.set(key, done);
      void done.finally(() => {
        if (this.tails.get(key) === done) this.tails.delete(key);
      });
    }
  }

  /** Resolves when nothing is in progress. */
  settled(): Promise<void> {
    return this.running === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve));
  }

  private release(): void {
    const next = this.waiting.shift();
    if (next) {
      next();
      return;
    }
    this.running--;
    if (this.running === 0) {
      for (const resolve of this.idle) resolve();
      this.idle = [];
    }
  }
}
