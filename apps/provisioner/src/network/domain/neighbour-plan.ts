/** Which hosts are sent which parts of a tenant's containers after a change. Pure. */

export interface Audience {
  /** Hosts that have a container of the tenant with an address. */
  readonly serving: readonly string[];
  /** Hosts that were sent the tenant's containers, and have values on the bus. */
  readonly known: readonly { readonly host: string; readonly ended: boolean }[];
}

export interface NeighbourPlan {
  /** Hosts that get what changed. */
  readonly changed: readonly string[];
  /** Hosts that begin to serve the tenant: they get every part that has containers, and what changed. */
  readonly begin: readonly string[];
  /** Hosts that ended: they get the same parts without containers, and then nothing. */
  readonly end: readonly string[];
}

/** @param most hosts that begin or end */
export function firstOf(
  { changed, begin, end }: NeighbourPlan,
  most: number,
): NeighbourPlan & { readonly isMore: boolean } {
  const ending = end.slice(0, most);
  const beginning = begin.slice(0, Math.max(0, most - ending.length));
  const isMore = ending.length + beginning.length < begin.length + end.length;
  return { changed, begin: beginning, end: ending, isMore };
}

export function neighbourPlan({ serving, known }: Audience): NeighbourPlan {
  const before = new Set(known.filter(({ ended }) => !ended).map(({ host }) => host));
  const now = new Set(serving);
  return {
    changed: [...now].filter((host) => before.has(host)),
    begin: [...now].filter((host) => !before.has(host)),
    end: [...before].filter((host) => !now.has(host)),
  };
}
