/** A seeded source of randomness: the same seed gives the same faults and the same requests in the same order. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformInt } from 'pure-rand/distribution/uniformInt';

export class Random {
  private readonly generator;

  constructor(seed: number) {
    this.generator = xoroshiro128plus(seed);
  }

  /** From `low` to `high`, both included. */
  between(low: number, high: number): number {
    return uniformInt(this.generator, low, high);
  }

  /** Draws even from an empty list: the next draw must not depend on the length of a list. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.between(0, Math.max(0, items.length - 1))];
  }
}
