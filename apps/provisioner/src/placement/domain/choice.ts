/** From hosts and needs to the hosts in the order in which they are tried: filters first, then scorers. */
import { Exclusions, FILTERS, filtersFor, sift } from './filters.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost, PlacementPolicyName } from './placement.js';
import { type PlacementRefusal, refusalOf } from './refusals.js';
import { rank, type RankedHost } from './scorers.js';

const OF_KIND = FILTERS.filter(({ isOfKind }) => isOfKind);

export interface HostsOfKind {
  readonly hosts: readonly CandidateHost[];
  /** As they were met: whose users the container gets is decided by what there is. */
  readonly needs: PlacementNeeds;
  readonly exclusions: Exclusions;
}

/** Hosts that are what the container needs, whatever is on them. */
export function hostsOfKind(hosts: readonly CandidateHost[], needs: PlacementNeeds): HostsOfKind {
  const filters = OF_KIND.filter(({ concerns }) => concerns(needs));
  const met = (each: PlacementNeeds): HostsOfKind => {
    const exclusions = new Exclusions();
    return { hosts: sift(hosts, each, filters, exclusions), needs: each, exclusions };
  };
  const found = met(needs);
  if (found.hosts.length > 0 || needs.users !== 'own') return found;
  const byPolicy = met({ ...needs, users: 'host-by-policy' });
  return byPolicy.hosts.length > 0 ? byPolicy : found;
}

export type Choice =
  | { readonly ok: true; readonly ranked: readonly RankedHost[]; readonly exclusions: Exclusions }
  | ({ readonly ok: false; readonly exclusions: Exclusions } & PlacementRefusal);

/**
 * @param needs with the storage nodes, as {@link hostsOfKind} found them met
 * @param random at least 0, below 1
 * @param turn counts the placements of this process
 * @param exclusions of hosts that were left out before; those that are left out now are added
 */
export function chooseHosts(
  hosts: readonly CandidateHost[],
  needs: PlacementNeeds,
  policy: PlacementPolicyName,
  random: number,
  turn: number,
  exclusions = new Exclusions(),
): Choice {
  const fitting = sift(hosts, needs, filtersFor(needs), exclusions);
  if (fitting.length === 0) return { ok: false, exclusions, ...refusalOf(exclusions, needs) };
  return { ok: true, exclusions, ranked: rank(fitting, needs, policy, random, turn) };
}
