/**
 * Messages of which the newest of each subject counts: one that waits is replaced by the next. A receiver that was slow
 * for a while goes on with what is so now, and never has more than one message of a sender waiting.
 */
export class NewestMessages<M extends { readonly subject: string }> {
  private readonly waiting = new Map<string, M>();
  private taking = false;

  /** @param begin resolves when the next one may begin; must not reject */
  constructor(private readonly begin: (message: M) => Promise<void>) {}

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
    this.taking = true;
    for (const [subject, message] of this.waiting) {
      this.waiting.delete(subject);
      await this.begin(message);
    }
    this.taking = false;
  }
}
