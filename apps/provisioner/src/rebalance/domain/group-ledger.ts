/**
 * Where the containers of groups are while a plan moves them about, and what that means for each: the numbers that the
 * filters and scorers of a placement ask for, kept up to date with each move.
 */
import type { AffinityRule, GroupRules, SpreadRule } from '@plinth/contracts';
import type { GroupMembers, GroupNeed, GroupNeeds } from '../../placement/domain/groups.js';
import { type Labelled, labelOf } from '../../placement/domain/labels.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import type { Places, Where } from '../../placement/domain/places.js';
import type { FleetContainer, RuleHolders } from './fleet.js';

type Member = Pick<FleetContainer, 'tenant' | 'rules'>;
type Kind = 'near' | 'apart' | 'spread';
interface Rule {
  readonly kind: Kind;
  readonly group: string;
  readonly over: string;
  readonly isRequired: boolean;
}

/** The fewest that one of some places has. */
interface Floor {
  readonly places: ReadonlySet<string>;
  /** Places by how many they have. */
  readonly tally: Map<number, number>;
  fewest: number;
}

/** Containers of one group by the value of one label. */
class PlaceCounts {
  readonly counts = new Map<string, number>();
  private readonly floors = new Map<string, Floor>();

  change(place: string, by: number): void {
    const before = this.counts.get(place) ?? 0;
    const after = before + by;
    if (after <= 0) this.counts.delete(place);
    else this.counts.set(place, after);
    for (const floor of this.floors.values()) {
      if (!floor.places.has(place)) continue;
      const left = (floor.tally.get(before) ?? 0) - 1;
      floor.tally.set(before, left);
      floor.tally.set(after, (floor.tally.get(after) ?? 0) + 1);
      if (after < floor.fewest || (before === floor.fewest && left === 0)) floor.fewest = after;
    }
  }

  fewest(key: string, places: () => ReadonlySet<string>): number {
    return (this.floors.get(key) ?? this.floorOf(key, places())).fewest;
  }

  private floorOf(key: string, places: ReadonlySet<string>): Floor {
    const tally = new Map<number, number>();
    for (const place of places) {
      const count = this.counts.get(place) ?? 0;
      tally.set(count, (tally.get(count) ?? 0) + 1);
    }
    const floor = { places, tally, fewest: tally.size === 0 ? 0 : Math.min(...tally.keys()) };
    this.floors.set(key, floor);
    return floor;
  }
}

class Group {
  private readonly members = new Map<string, { readonly at: Labelled; count: number }>();
  private readonly byLabel = new Map<string, PlaceCounts>();
  /** Containers that hold a rule about the group, by rule and place. */
  readonly held = new Map<string, { readonly rule: Rule; readonly places: Map<string, number> }>();

  over(label: string): PlaceCounts {
    const known = this.byLabel.get(label);
    if (known) return known;
    const counts = new PlaceCounts();
    this.byLabel.set(label, counts);
    for (const { at, count } of this.members.values()) {
      const place = labelOf(at, label);
      if (place !== undefined) counts.change(place, count);
    }
    return counts;
  }

  change(at: Labelled, by: number): void {
    const known = this.members.get(at.host);
    if (known) known.count += by;
    else this.members.set(at.host, { at, count: by });
    for (const [label, counts] of this.byLabel) {
      const place = labelOf(at, label);
      if (place !== undefined) counts.change(place, by);
    }
  }
}

export class GroupLedger {
  private readonly groups = new Map<string, Group>();

  constructor(
    members: readonly GroupMembers[],
    private readonly places: Places,
  ) {
    for (const { tenant, group, count, ...at } of members) this.group(tenant, group).change(at, count);
  }

  /** For each container with rules, before anything is asked. */
  add({ tenant, rules, count, ...at }: RuleHolders): void {
    this.hold({ tenant, rules }, at, count);
  }

  /** Takes the container out of what is counted. */
  take({ tenant, rules }: Member, from: CandidateHost): void {
    if (rules.group !== undefined) this.group(tenant, rules.group).change(from, -1);
  }

  put({ tenant, rules }: Member, to: CandidateHost): void {
    if (rules.group !== undefined) this.group(tenant, rules.group).change(to, 1);
  }

  /** Its rules go with it. */
  carry(container: Member, from: CandidateHost, to: CandidateHost): void {
    this.hold(container, from, -1);
    this.hold(container, to, 1);
  }

  /** What its rules mean now; undefined: it has none. */
  needsOf({ tenant, rules }: Member, where: Where): GroupNeeds | undefined {
    const found = rulesOf(rules);
    if (found.length === 0) return undefined;
    const needs: { near?: GroupNeed; apart?: GroupNeed; spread?: GroupNeed & { fewest: number } } = {};
    for (const { kind, group, over, isRequired } of found) {
      const counted = this.group(tenant, group).over(over);
      const need = { tenant, group, over, isRequired, isOwn: group === rules.group, counts: counted.counts };
      if (kind === 'spread') needs.spread = { ...need, fewest: this.fewestOf(counted, over, where) };
      else needs[kind] = need;
    }
    return needs;
  }

  /** Where it is, as far as its rules ask. */
  placesOf({ rules }: Member, at: CandidateHost): readonly (string | undefined)[] {
    return rulesOf(rules).map(({ over }) => labelOf(at, over));
  }

  /**
   * Whether others that hold a rule about its group would be worse off. The container itself is taken out: what it asks
   * for is decided by filters and scorers.
   */
  disturbs({ tenant, rules }: Member, from: CandidateHost, to: CandidateHost): boolean {
    if (rules.group === undefined) return false;
    const group = this.group(tenant, rules.group);
    const own = new Set(rulesOf(rules).flatMap((rule) => (rule.group === rules.group ? [keyOf(rule)] : [])));
    for (const [key, { rule, places }] of group.held) {
      const p = labelOf(from, rule.over);
      const q = labelOf(to, rule.over);
      if (p === q) continue;
      const { counts } = group.over(rule.over);
      const holds = own.has(key);
      const left = p === undefined ? 0 : (counts.get(p) ?? 0);
      const there = q === undefined ? 0 : (counts.get(q) ?? 0);
      switch (rule.kind) {
        case 'apart':
          if (q !== undefined && (places.get(q) ?? 0) > 0 && (rule.isRequired || there > left)) return true;
          break;
        case 'near':
          if (p !== undefined && left === 0 && (places.get(p) ?? 0) > (holds ? 1 : 0)) return true;
          break;
        case 'spread':
          if (!holds && (q === undefined || there > left)) return true;
      }
    }
    return false;
  }

  private hold({ tenant, rules }: Member, at: Labelled, by: number): void {
    for (const rule of rulesOf(rules)) {
      const { held } = this.group(tenant, rule.group);
      const key = keyOf(rule);
      const one = held.get(key) ?? { rule, places: new Map<string, number>() };
      held.set(key, one);
      const place = labelOf(at, rule.over);
      if (place !== undefined) one.places.set(place, (one.places.get(place) ?? 0) + by);
    }
  }

  private fewestOf(counted: PlaceCounts, over: string, where: Where): number {
    const { datacenter, constraints = [] } = where;
    const narrowed = constraints.length > 0 ? JSON.stringify(constraints) : '';
    return counted.fewest(`${over}/${datacenter ?? ''}/${narrowed}`, () => this.places.of(over, where));
  }

  private group(tenant: string, name: string): Group {
    const key = `${tenant}/${name}`;
    const known = this.groups.get(key);
    if (known) return known;
    const group = new Group();
    this.groups.set(key, group);
    return group;
  }
}

function keyOf({ kind, over, isRequired }: Rule): string {
  return `${kind}/${over}${isRequired ? '!' : ''}`;
}

function rulesOf({ group: own = '', spread, affinity, antiAffinity }: GroupRules): readonly Rule[] {
  const rule = (kind: Kind, given: SpreadRule | AffinityRule | undefined): Rule[] =>
    given
      ? [{ kind, group: given.group ?? own, over: given.over ?? 'host', isRequired: given.isRequired === true }]
      : [];
  return [...rule('near', affinity), ...rule('apart', antiAffinity), ...rule('spread', spread)];
}
