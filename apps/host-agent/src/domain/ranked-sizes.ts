/** What many containers take, in three numbers: how it is spread, without naming one of them. Pure. */

export interface RankedSizes {
  readonly sum: number;
  /** Empty when there are no sizes. */
  readonly ranks: Readonly<Partial<Record<'median' | 'p99' | 'largest', number>>>;
}

/** Each rank is the smallest size that so large a share of all does not exceed. */
export function rankedSizes(sizes: readonly number[]): RankedSizes {
  const sorted = [...sizes].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    sum: sorted.reduce((sum, size) => sum + size, 0),
    ranks: sorted.length === 0 ? {} : { median: at(0.5), p99: at(0.99), largest: at(1) },
  };
}
