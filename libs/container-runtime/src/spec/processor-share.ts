/**
 * What a container counts when processors are short: each has its place beside the host's services, by its limit,
 * however many processes it has. There is no group of all containers: one that is busy would use up the turn of all.
 * Pure.
 */

/** What a process of the host, or one of its services, counts, and the most that the kernel takes. */
const SHARES = { each: 1_024, least: 2, most: 262_144 };
const WEIGHT = { each: 100, least: 1, most: 10_000 };

/**
 * Of a container that may use one processor. All containers that a host takes count at most as much as one busy service
 * on each processor: where they are promised more than there are, each counts less.
 * @param promised processors that containers may have together; absent: not more than there are
 */
export function sharesOfProcessor(processors: number, promised = 0): number {
  return promised > processors ? (SHARES.each * processors) / promised : SHARES.each;
}

/** `cpu.shares` of version 1. @param ofOne see {@link sharesOfProcessor} */
export function cpuShares(cpus: number, ofOne: number = SHARES.each): number {
  return Math.min(Math.max(SHARES.least, Math.round(cpus * ofOne)), SHARES.most);
}

/** `cpu.weight` of version 2. @param ofOne see {@link sharesOfProcessor} */
export function cpuWeight(cpus: number, ofOne: number = SHARES.each): number {
  return Math.min(Math.max(WEIGHT.least, Math.round((cpus * ofOne * WEIGHT.each) / SHARES.each)), WEIGHT.most);
}
