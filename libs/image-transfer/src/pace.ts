/** Holds transfers to a rate, those of all threads of a process together. */
import { setTimeout as delay } from 'node:timers/promises';
import { type ByteRate, takeBytes } from './domain/token-bucket.js';

/** What threads are given to keep one rate. */
export interface SharedPace {
  readonly bytesPerSecond: number;
  /** Eight bytes: when everything that was taken is paid, microseconds of the monotonic clock. */
  readonly memory: SharedArrayBuffer;
}

/** So much time's bytes may come at once. */
const BURST_SECONDS = 0.25;

/** @param bytesPerSecond undefined: there is no limit */
export function sharedPace(bytesPerSecond: number | undefined): SharedPace | undefined {
  return bytesPerSecond === undefined ? undefined : { bytesPerSecond, memory: new SharedArrayBuffer(8) };
}

export class Pace {
  private readonly paidAtUs: BigInt64Array;
  private readonly rate: ByteRate;

  constructor({ bytesPerSecond, memory }: SharedPace) {
    this.paidAtUs = new BigInt64Array(memory);
    this.rate = { bytesPerSecond, burstBytes: bytesPerSecond * BURST_SECONDS };
  }

  /**
   * Resolves when so many bytes more may go on; those who wait get them in the order in which they came.
   * @returns whether they had to wait
   * @throws the signal's reason when it was aborted
   */
  async take(bytes: number, signal?: AbortSignal): Promise<boolean> {
    // One clock for all threads: CLOCK_MONOTONIC.
    const nowMs = Number(process.hrtime.bigint() / 1_000n) / 1_000;
    let paidAtMs: number;
    for (;;) {
      const before = Atomics.load(this.paidAtUs, 0);
      paidAtMs = takeBytes(Number(before) / 1_000, bytes, nowMs, this.rate);
      const after = BigInt(Math.round(paidAtMs * 1_000));
      if (Atomics.compareExchange(this.paidAtUs, 0, before, after) === before) break;
    }
    const waitMs = paidAtMs - nowMs;
    if (waitMs < 1) return false;
    await delay(waitMs, undefined, signal && { signal });
    return true;
  }
}
