/** Requests for containers and their answers, with the time that each took. */
import { type ContainerRequested, SUBJECTS } from '@plinth/contracts';
import { headers, type JetStreamClient, type NatsConnection } from 'nats';

export interface Answers {
  readonly configured: number;
  readonly rejected: number;
  /** Reasons of refusals, with how often. */
  readonly reasons: ReadonlyMap<string, number>;
}

export class Requests {
  private readonly begun = new Map<string, number>();
  private readonly took = new Map<string, number>();
  private readonly reasons = new Map<string, number>();
  private readonly watching = new Set<() => void>();
  private configured = 0;
  private rejected = 0;
  private failure: unknown;

  constructor(
    connection: NatsConnection,
    private readonly jetstream: JetStreamClient,
  ) {
    connection.subscribe(SUBJECTS.containerConfigured, {
      callback: (error, message) => {
        if (error === null && this.answered(message.json<{ requestId: string }>().requestId)) this.configured++;
      },
    });
    connection.subscribe(SUBJECTS.containerRejected, {
      callback: (error, message) => {
        if (error !== null) return;
        const { requestId, reason } = message.json<{ requestId: string; reason: string }>();
        if (!this.answered(requestId)) return;
        this.rejected++;
        this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
      },
    });
  }

  get answers(): Answers {
    return { configured: this.configured, rejected: this.rejected, reasons: this.reasons };
  }

  get unanswered(): number {
    return this.begun.size - this.took.size;
  }

  /** Milliseconds from each request to its answer, of requests whose id begins so. */
  times(prefix: string): number[] {
    return [...this.took].filter(([id]) => id.startsWith(prefix)).map(([, ms]) => ms);
  }

  send(id: string, data: Partial<ContainerRequested>): void {
    const envelope = headers();
    envelope.set('ce-id', id);
    this.begun.set(id, performance.now());
    this.jetstream
      .publish(SUBJECTS.containerRequested, JSON.stringify(data), { headers: envelope, msgID: id })
      .catch((error: unknown) => {
        this.failure = error;
        this.wake();
      });
  }

  /**
   * Waits until at the most so many requests have no answer.
   * @throws Error when the bus did not store a request, or the time is over
   */
  async untilUnanswered(most: number, deadline: number): Promise<void> {
    while (this.unanswered > most) {
      if (this.failure !== undefined) throw new Error('the bus did not store a request', { cause: this.failure });
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`the time is over; ${this.unanswered} requests have no answer`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 1_000));
        const done = (): void => {
          clearTimeout(timer);
          this.watching.delete(done);
          resolve();
        };
        this.watching.add(done);
      });
    }
  }

  /** @returns false when it had an answer: a sender that was killed publishes again, under the same id */
  private answered(id: string): boolean {
    const begun = this.begun.get(id);
    if (begun === undefined || this.took.has(id)) return false;
    this.took.set(id, performance.now() - begun);
    this.wake();
    return true;
  }

  private wake(): void {
    for (const done of [...this.watching]) done();
  }
}
