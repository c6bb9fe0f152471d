/** Where the containers of groups are, and what that means for one more. */
import type { AffinityRule, GroupRules, Labels, SpreadRule } from '@plinth/contracts';
import { type Labelled, labelOf } from './labels.js';
import type { CandidateHost } from './placement.js';
import type { Places, Where } from './places.js';

/** Containers of a group that are on one host, or on their way there. */
export interface GroupMembers {
  readonly tenant: string;
  readonly group: string;
  readonly host: string;
  readonly datacenter: string;
  readonly labels: Labels;
  readonly count: number;
}

/** A rule of one container as it stands now. */
export interface GroupNeed {
  readonly tenant: string;
  readonly group: string;
  /** Key of a label: hosts with the same value are one place. */
  readonly over: string;
  readonly isRequired: boolean;
  /** The container is one of the group. */
  readonly isOwn: boolean;
  /** Containers of the group, by place; absent: none is there. */
  readonly counts: ReadonlyMap<string, number>;
}

/** A spread: the fewest that a place has where the container may be. */
export interface SpreadNeed extends GroupNeed {
  readonly fewest: number;
}

export interface GroupNeeds {
  readonly near?: GroupNeed;
  readonly apart?: GroupNeed;
  readonly spread?: SpreadNeed;
}

export interface TenantGroup {
  readonly tenant: string;
  readonly group: string;
}

/** Groups that have to be known to place the container; those that it is in are locked, too, for others' rules. */
export function groupsOf(tenant: string, rules: GroupRules): readonly TenantGroup[] {
  const { group, spread, affinity, antiAffinity } = rules;
  const names = [group, spread?.group, affinity?.group, antiAffinity?.group].filter((name) => name !== undefined);
  return [...new Set(names)].map((name) => ({ tenant, group: name }));
}

export class Groups {
  private readonly members = new Map<string, GroupMembers[]>();
  /** By group and label. */
  private readonly counted = new Map<string, Map<string, number>>();

  constructor(
    members: readonly GroupMembers[],
    private readonly places: Places,
  ) {
    for (const each of members) this.remember(each);
  }

  /** A container of the group has come to the host. */
  add({ tenant, group }: TenantGroup, { host, datacenter, labels }: CandidateHost): void {
    this.change({ tenant, group, host, datacenter, labels, count: 1 });
  }

  /** A container of the group that is on the host is counted no more. @returns counts it again */
  take({ tenant, group }: TenantGroup, host: string): () => void {
    const there = this.members.get(`${tenant}/${group}`)?.find((each) => each.host === host);
    if (!there) return () => undefined;
    this.change({ ...there, count: -1 });
    return () => this.change({ ...there, count: 1 });
  }

  /** @returns undefined when it has no rules */
  needsOf(tenant: string, rules: GroupRules, where: Where): GroupNeeds | undefined {
    const { group: own = '', spread, affinity, antiAffinity } = rules;
    if (!spread && !affinity && !antiAffinity) return undefined;
    const need = (rule: SpreadRule | AffinityRule): GroupNeed => {
      const { group = own, over = 'host', isRequired = false } = rule;
      return { tenant, group, over, isRequired, isOwn: group === own, counts: this.countsOf(tenant, group, over) };
    };
    return {
      ...(affinity && { near: need(affinity) }),
      ...(antiAffinity && { apart: need(antiAffinity) }),
      ...(spread && { spread: this.spreadOf(need(spread), where) }),
    };
  }

  private spreadOf(need: GroupNeed, where: Where): SpreadNeed {
    const { counts, over } = need;
    let fewest = Number.POSITIVE_INFINITY;
    let taken = 0;
    const places = this.places.of(over, where);
    for (const [place, number] of counts) {
      if (!places.has(place)) continue;
      taken++;
      fewest = Math.min(fewest, number);
    }
    return { ...need, fewest: taken < places.size || taken === 0 ? 0 : fewest };
  }

  private countsOf(tenant: string, group: string, over: string): ReadonlyMap<string, number> {
    const key = `${tenant}/${group}/${over}`;
    const known = this.counted.get(key);
    if (known) return known;
    const counts = new Map<string, number>();
    for (const each of this.members.get(`${tenant}/${group}`) ?? []) count(counts, each, over);
    this.counted.set(key, counts);
    return counts;
  }

  private change(by: GroupMembers): void {
    this.remember(by);
    for (const [key, counts] of this.counted) {
      const [tenant, group, over = ''] = key.split('/');
      if (tenant === by.tenant && group === by.group) count(counts, by, over);
    }
  }

  private remember(each: GroupMembers): void {
    const key = `${each.tenant}/${each.group}`;
    const members = this.members.get(key);
    if (members) members.push(each);
    else this.members.set(key, [each]);
  }
}

/** Containers of the group that are in the place of the host; undefined: the host has no such label. */
export function countAt(host: Labelled, { over, counts }: GroupNeed): number | undefined {
  const place = labelOf(host, over);
  return place === undefined ? undefined : (counts.get(place) ?? 0);
}

function count(counts: Map<string, number>, members: GroupMembers, over: string): void {
  const place = labelOf(members, over);
  if (place === undefined) return;
  const number = (counts.get(place) ?? 0) + members.count;
  // A place without any is one that is not counted.
  if (number === 0) counts.delete(place);
  else counts.set(place, number);
}
