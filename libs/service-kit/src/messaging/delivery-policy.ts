/** What becomes of a message once its handler has ended: the one place where that is decided. */

/** A fault that no retry will cure: the message goes to the dead letters at once. */
export class PermanentError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'PermanentError';
  }
}

/** Deliveries before a message that keeps failing becomes a dead letter. */
export const MAX_DELIVERIES = 8;

export type Outcome =
  /** The handler did its work or recorded a refusal. */
  | { readonly kind: 'handled' }
  /** Not JSON, or against its contract. */
  | { readonly kind: 'invalid'; readonly problems: readonly { readonly path: string; readonly message: string }[] }
  | { readonly kind: 'failed'; readonly error: unknown };

export type Disposition =
  | { readonly action: 'ack' }
  | { readonly action: 'retry'; readonly delayMs: number }
  /** Publish the rejection first where the contract has one, then the dead letter, then term. */
  | { readonly action: 'dead-letter'; readonly reason: string; readonly reject: boolean };

/**
 * @param attempt deliveries so far, this one included
 * @param jitter 0 to 1
 */
export function dispose(outcome: Outcome, attempt: number, jitter: number): Disposition {
  switch (outcome.kind) {
    case 'handled':
      return { action: 'ack' };
    case 'invalid':
      return { action: 'dead-letter', reason: 'invalid', reject: true };
    case 'failed':
      if (outcome.error instanceof PermanentError)
        return { action: 'dead-letter', reason: outcome.error.message, reject: false };
      if (attempt >= MAX_DELIVERIES)
        return { action: 'dead-letter', reason: `failed ${attempt} times: ${describe(outcome.error)}`, reject: true };
      return { action: 'retry', delayMs: retryDelay(attempt, jitter) };
  }
}

/** 250 ms doubled per attempt up to 30 s, ± 25 %. */
export function retryDelay(attempt: number, jitter: number): number {
  const base = Math.min(250 * 2 ** (attempt - 1), 30_000);
  return Math.round(base * (0.75 + jitter / 2));
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
