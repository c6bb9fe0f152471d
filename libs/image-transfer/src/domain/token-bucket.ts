/**
 * A limit of bytes a second, as the time at which everything that was taken is paid: a token bucket in one number
 * (ITU-T I.371, the generic cell rate algorithm). The clock is an argument, in milliseconds from any beginning.
 */
export interface ByteRate {
  readonly bytesPerSecond: number;
  /** What may be taken at once after a pause. */
  readonly burstBytes: number;
}

/**
 * Takes bytes, also more than there are: the transfer that takes them waits.
 * @param paidAtMs of those before; -Infinity: none
 * @returns when these are paid: the bytes may go on then, or now when that is past
 */
export function takeBytes(paidAtMs: number, bytes: number, nowMs: number, rate: ByteRate): number {
  const earliestMs = nowMs - (1_000 * rate.burstBytes) / rate.bytesPerSecond;
  return Math.max(paidAtMs, earliestMs) + (1_000 * bytes) / rate.bytesPerSecond;
}

/** A receiver gives up a source that sends it less, bytes a second: a source serves no more at once than it has so much for. */
const LEAST_FOR_ONE = 64 * 1024;

/** @returns how many a source may serve at once */
export function transfersWithin(most: number, bytesPerSecond: number | undefined): number {
  return bytesPerSecond === undefined ? most : Math.max(1, Math.min(most, Math.floor(bytesPerSecond / LEAST_FOR_ONE)));
}
