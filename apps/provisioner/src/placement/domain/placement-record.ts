/** What is kept and shown of a decision. */
import type { ExcludedCount, ExcludedHosts, PlacementRecord, RankedHostAnswer, ScorePart } from '@plinth/contracts';
import { type Exclusions, FILTERS } from './filters.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost, PlacementPolicyName } from './placement.js';
import { type RankedHost, scorersFor } from './scorers.js';

/** Scores that are kept, and hosts that are named for a filter. */
const KEPT = 3;

export interface Decided {
  readonly policy: PlacementPolicyName;
  readonly ranked: readonly RankedHost[];
  readonly exclusions: Exclusions;
  /** Hosts that were looked at, and those that are known to get containers. */
  readonly lookedAt: number;
  readonly hosts: number;
}

export function placementRecord(host: string, at: string, decided: Decided): PlacementRecord {
  const { policy, ranked, exclusions, lookedAt, hosts } = decided;
  const first = ranked.slice(0, KEPT);
  const chosen = ranked.find((each) => each.host.host === host);
  if (chosen && !first.includes(chosen)) first[KEPT - 1] = chosen;
  return {
    at,
    host,
    policy,
    hosts: Math.max(hosts, lookedAt),
    lookedAt,
    scores: first.map(({ host: { host: name }, score }) => ({ host: name, score: rounded(score) })),
    excluded: countsOf(exclusions),
  };
}

/** As it is stored with each container: in little space. */
export type PackedPlacement = readonly [
  at: string,
  host: string,
  policy: string,
  hosts: number,
  lookedAt: number,
  scores: readonly (readonly [host: string, score: number])[],
  excluded: readonly (readonly [filter: string, count: number])[],
];

export function packed({ at, host, policy, hosts, lookedAt, scores, excluded }: PlacementRecord): PackedPlacement {
  return [
    at,
    host,
    policy,
    hosts,
    lookedAt,
    scores.map((each) => [each.host, each.score]),
    excluded.map(({ filter, count }) => [filter, count]),
  ];
}

export function unpacked([at, host, policy, hosts, lookedAt, scores, excluded]: PackedPlacement): PlacementRecord {
  return {
    at,
    host,
    policy,
    hosts,
    lookedAt,
    scores: scores.map(([name, score]) => ({ host: name, score })),
    excluded: excluded.map(([filter, count]) => ({ filter, count })),
  };
}

export function countsOf(exclusions: Exclusions): ExcludedCount[] {
  return exclusions.filters.map((filter) => ({ filter, count: exclusions.by(filter).length }));
}

/** With names, and why the first of them does not fit. */
export function excludedHosts(exclusions: Exclusions, needs: PlacementNeeds): ExcludedHosts[] {
  return exclusions.filters.map((name) => {
    const hosts = exclusions.by(name);
    return {
      filter: name,
      count: hosts.length,
      hosts: hosts.slice(0, KEPT).map(({ host }) => host),
      why: whyNot(name, hosts[0], needs),
    };
  });
}

function whyNot(name: string, host: CandidateHost | undefined, needs: PlacementNeeds): string {
  const filter = FILTERS.find((each) => each.name === name);
  return host && filter ? filter.why(host, needs) : '';
}

export function rankedAnswer(
  { host, score }: RankedHost,
  needs: PlacementNeeds,
  policy: PlacementPolicyName,
): RankedHostAnswer {
  return { host: host.host, score: rounded(score), parts: scoreParts(host, needs, policy) };
}

function scoreParts(host: CandidateHost, needs: PlacementNeeds, policy: PlacementPolicyName): ScorePart[] {
  return scorersFor(needs, policy).map(({ name, weight, score }) => ({
    name,
    weight,
    value: rounded(score(host, needs)),
  }));
}

function rounded(score: number): number {
  return Math.round(score * 10_000) / 10_000;
}
