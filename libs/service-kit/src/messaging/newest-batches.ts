/**
 * Messages of which the newest of each subject counts: one that waits is replaced by the next. A receiver that was slow
 * for a while goes on with what is so now, and never has more than one message of a sender waiting. Those that wait are
 * taken together.
 */
export interface BatchTimes {
  /** Messages that are taken together, at the most. */
  readonly most: number;
  /** Resolves a while after a batch that was not full: those that arrive meanwhile are one batch. */
  readonly pause: () => Promise<void>;
}

export class NewestBatches<M extends { readonly subject: string }> {
  private readonly waiting = new Map<string, M>();
  private taking = false;

  /** @param begin resolves when the next batch may begin; must not reject */
  constructor(
    private readonly begin: (messages: readonly M[]) => Promise<void>,
    private readonly times: BatchTimes,
  ) {}

  /** The first that waits keeps its turn. */
  put(message: M): void {
    this.waiting.set(message.subject, message);
    if (!this.taking) void this.takeAll();
  }

  /** Nothing that waits begins any more. */
  clear(): void {
    this.waiting.clear();
  }

  private async takeAll(): Promise<void> {
    const { most, pause } = this.times;
    this.taking = true;
    // What was read from the connection at the same time comes along.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.size > 0) {
      const batch: M[] = [];
      for (const [subject, message] of this.waiting) {
        if (batch.length === most) break;
        this.waiting.delete(subject);
        batch.push(message);
      }
      await this.begin(batch);
      await (batch.length === most ? new Promise((resolve) => setImmediate(resolve)) : pause());
    }
    this.taking = false;
  }
}
