/** What filling and checking a store can end with: an expected failure is a value. */

export interface StoreFailure {
  readonly reason: 'bad-archive' | 'manifest-mismatch' | 'no-space' | 'io-error';
  /** One sentence for people. */
  readonly message: string;
}

export type StoreRefused = { readonly ok: false } & StoreFailure;
export type StoreOutcome<T> = { readonly ok: true; readonly value: T } | StoreRefused;

export function done<T>(value: T): StoreOutcome<T> {
  return { ok: true, value };
}

export function failed(reason: StoreFailure['reason'], message: string): StoreRefused {
  return { ok: false, reason, message: message.slice(0, 1_500) };
}
