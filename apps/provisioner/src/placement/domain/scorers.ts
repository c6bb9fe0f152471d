/** Which of the hosts that fit is better: numbers of 0 to 1, each with a weight, and the order that the policies make of them. */
import { countAt } from './groups.js';
import { isUsable, type PlacementNeeds } from './needs.js';
import type { CandidateHost, PlacementPolicyName } from './placement.js';

export const SCORER_NAMES = ['spread', 'near', 'apart', 'room', 'load', 'storage', 'held', 'warm'] as const;
export type ScorerName = (typeof SCORER_NAMES)[number];

export interface HostScorer {
  readonly name: ScorerName;
  /** What it counts beside the others. */
  readonly weight: number;
  /** Whether such needs ask for it; of the others every host has the same. */
  readonly concerns: (needs: PlacementNeeds) => boolean;
  /** 0 to 1; the best is 1. */
  readonly score: (host: CandidateHost, needs: PlacementNeeds) => number;
}

const always = (): boolean => true;
/** More load for each core than this is no worse. */
const MOST_LOAD = 4;

/** What is reserved of the scarcest resource, 0 to 1. */
export function usedShare({ allocated, capacity }: Pick<CandidateHost, 'allocated' | 'capacity'>): number {
  return Math.max(
    allocated.memoryBytes / Math.max(capacity.memoryBytes, 1),
    allocated.cpus / Math.max(capacity.cpus, 0.01),
    allocated.containers / Math.max(capacity.containers, 1),
  );
}

/** Share of the scarcest resource that is left. */
const room: HostScorer = {
  name: 'room',
  weight: 1,
  concerns: always,
  score: (host) => 1 - usedShare(host),
};

/** It breaks near ties. */
const load: HostScorer = {
  name: 'load',
  weight: 0.4,
  concerns: always,
  score: ({ loadPerCore }) => 1 - Math.min(loadPerCore, MOST_LOAD) / MOST_LOAD,
};

/** Free space of the best storage node that it reaches, beside the emptiest of all. */
const storage: HostScorer = {
  name: 'storage',
  weight: 0.1,
  concerns: ({ space }) => space !== undefined && space.most > 0 && Object.keys(space.free).length > 1,
  score: (host, needs) => {
    const { free = {}, most = 1 } = needs.space ?? {};
    let best = 0;
    for (const node of host.storageNodes) if (isUsable(host, needs, node)) best = Math.max(best, free[node] ?? 0);
    return best / most;
  },
};

/** Its image is there, and need not be fetched first: it decides between hosts that are nearly equal. */
const held: HostScorer = {
  name: 'held',
  weight: 0.05,
  concerns: ({ image }) => image !== undefined,
  score: ({ host, hasStore }, needs) => (!hasStore || needs.held?.has(host) ? 1 : 0),
};

/** Libraries of its image are in the memory of the host. It breaks ties: no host is filled before others because of it. */
const warm: HostScorer = {
  name: 'warm',
  weight: 0.005,
  concerns: (needs) => needs.warm !== undefined && needs.warm.size > 0,
  score: (host, needs) => (needs.warm?.has(host.host) ? 1 : 0),
};

/** One more of the group in a place weighs more than all room: it is 1 where the fewest are, then 1/2, 1/3. */
const spread: HostScorer = {
  name: 'spread',
  weight: 4,
  concerns: ({ groups }) => groups?.spread !== undefined,
  score: (host, { groups }) => {
    const here = groups?.spread && countAt(host, groups.spread);
    return here === undefined ? 0 : 1 / (1 + Math.max(0, here - (groups?.spread?.fewest ?? 0)));
  },
};

const near: HostScorer = {
  name: 'near',
  weight: 3,
  concerns: ({ groups }) => groups?.near !== undefined,
  score: (host, { groups }) => (groups?.near && (countAt(host, groups.near) ?? 0) > 0 ? 1 : 0),
};

const apart: HostScorer = {
  name: 'apart',
  weight: 3,
  concerns: ({ groups }) => groups?.apart !== undefined,
  score: (host, { groups }) => (groups?.apart ? 1 / (1 + (countAt(host, groups.apart) ?? 0)) : 1),
};

/** The one list of them. */
export const SCORERS: readonly HostScorer[] = [spread, near, apart, room, load, storage, held, warm];

/** What a container asked for counts with each policy. */
const OF_GROUPS: readonly ScorerName[] = ['spread', 'near', 'apart'];

/** What each policy counts; it orders hosts that are equal by it. */
const COUNTED: Readonly<Record<PlacementPolicyName, readonly ScorerName[]>> = {
  'least-loaded': SCORER_NAMES,
  'round-robin': OF_GROUPS,
  random: OF_GROUPS,
};

export function scorersFor(needs: PlacementNeeds, policy: PlacementPolicyName): readonly HostScorer[] {
  return SCORERS.filter(({ name, concerns }) => COUNTED[policy].includes(name) && concerns(needs));
}

export function scoreOf(host: CandidateHost, needs: PlacementNeeds, scorers: readonly HostScorer[]): number {
  let sum = 0;
  for (const { weight, score } of scorers) sum += weight * score(host, needs);
  return sum;
}

export interface RankedHost {
  readonly host: CandidateHost;
  readonly score: number;
}

/**
 * Best first; the caller takes the first that still has room when it reserves.
 * @param random at least 0, below 1
 * @param turn counts the placements of this process
 */
export function rank(
  hosts: readonly CandidateHost[],
  needs: PlacementNeeds,
  policy: PlacementPolicyName,
  random: number,
  turn: number,
): readonly RankedHost[] {
  const scorers = scorersFor(needs, policy);
  const scored = hosts.map((host) => ({ host, score: scoreOf(host, needs, scorers) }));
  if (policy === 'least-loaded') return scored.sort((a, b) => b.score - a.score || byName(a, b));
  const start = policy === 'random' ? Math.floor(random * hosts.length) : turn;
  const inTurn = rotated(scored.sort(byName), start);
  return scorers.length === 0 ? inTurn : inTurn.sort((a, b) => b.score - a.score);
}

function byName(a: RankedHost, b: RankedHost): number {
  return a.host.host < b.host.host ? -1 : 1;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
