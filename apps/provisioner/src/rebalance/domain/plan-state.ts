/** Where a plan has got to: hosts with what is reserved, groups, and the moves so far. */
import type { FleetBalance, ProposedMove, RebalanceMoveReason } from '@plinth/contracts';
import { hostsOfKind } from '../../placement/domain/choice.js';
import { excluding, FILTERS, filtersFor, type HostFilter } from '../../placement/domain/filters.js';
import { kindKey } from '../../placement/domain/host-sample.js';
import type { PlacementNeeds } from '../../placement/domain/needs.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import { scoreOf, scorersFor } from '../../placement/domain/scorers.js';
import { balanceOf, gainOf } from './balance.js';
import type { Fleet, FleetContainer, RuleHolders } from './fleet.js';
import { GroupLedger } from './group-ledger.js';
import { PlannedHost, UseOrder } from './use-order.js';

/**
 * A computation that may take seconds, in steps of some milliseconds: between two of them its caller may do something
 * else.
 */
export type Steps<T = void> = Generator<undefined, T, undefined>;

export interface PlanOptions {
  readonly datacenter?: string | undefined;
  readonly tenant?: string | undefined;
  readonly thresholdPercent: number;
  readonly maxMoves: number;
}

/** Why a container is to move: a rule that does not hold where it is, or the balance. */
export interface Cause {
  readonly reason: RebalanceMoveReason;
  readonly why: string;
}

/** Hosts that are what containers of a kind need. */
interface Pool {
  readonly order: UseOrder;
  /** Whose users they get there. */
  readonly users: PlacementNeeds['users'];
}

const ROUNDING = 1e-9;
/** Containers in one step: that are only counted, and whose rules are looked at. */
const MANY = 1_000;
export const FEW = 20;
/** What a placement has promised and others, or labels, may have broken since. */
const PROMISED: readonly string[] = ['labels', 'near', 'apart', 'spread'];
const RULES: readonly HostFilter[] = FILTERS.filter(({ name }) => PROMISED.includes(name));

export class PlanState {
  readonly hosts = new Map<string, PlannedHost>();
  /** Those that are asked about. */
  readonly datacenters = new Map<string, UseOrder>();
  /** Containers that may move, by host. */
  readonly movable = new Map<string, FleetContainer[]>();
  /** Those with constraints or rules of groups. */
  readonly ruled: FleetContainer[] = [];
  readonly moves: ProposedMove[] = [];
  readonly ledger: GroupLedger;
  private readonly pools = new Map<string, Pool>();
  private readonly kinds = new WeakMap<FleetContainer, string>();
  /** Where containers have moved to. */
  private readonly moved = new Map<string, string>();
  private cut = false;

  constructor(
    readonly fleet: Fleet,
    readonly options: PlanOptions,
  ) {
    const byDatacenter = new Map<string, PlannedHost[]>();
    for (const host of fleet.hosts) {
      const planned = new PlannedHost(host);
      this.hosts.set(host.host, planned);
      add(byDatacenter, host.datacenter, planned);
    }
    for (const [name, hosts] of byDatacenter)
      if (options.datacenter === undefined || options.datacenter === name)
        this.datacenters.set(name, new UseOrder(hosts));
    this.ledger = new GroupLedger(fleet.members, fleet.places);
    for (const holders of fleet.holders) this.ledger.add(holders);
  }

  /** Takes in the containers; has to be gone through before anything is asked. */
  *start(): Steps {
    for (const [index, container] of this.fleet.containers.entries()) {
      if (index % MANY === 0) yield;
      const at = this.hosts.get(container.host)?.now;
      if (at && hasRules(container)) this.ledger.add(heldBy(container, at));
      if (!this.isInScope(container)) continue;
      if (hasRules(container)) this.ruled.push(container);
      if (container.stays === undefined) add(this.movable, container.host, container);
    }
  }

  /** More would follow than is allowed. */
  get isCut(): boolean {
    return this.cut;
  }

  isInScope({ host, tenant }: FleetContainer): boolean {
    const { datacenter } = this.hosts.get(host)?.now ?? {};
    if (datacenter === undefined || !this.datacenters.has(datacenter)) return false;
    return this.options.tenant === undefined || this.options.tenant === tenant;
  }

  hasMoved({ id }: FleetContainer): boolean {
    return this.moved.has(id);
  }

  carryOut(container: FleetContainer, from: PlannedHost, to: PlannedHost, { reason, why }: Cause): void {
    if (this.moves.length >= this.options.maxMoves) {
      this.cut = true;
      return;
    }
    const { id, name, tenant, needs, isRunning } = container;
    const { memoryBytes } = needs.resources;
    const [left, reached] = [from.now.host, to.now.host];
    this.moves.push({ containerId: id, name, tenant, from: left, to: reached, memoryBytes, isRunning, reason, why });
    this.moved.set(id, reached);
    this.ledger.take(container, from.now);
    this.ledger.put(container, to.now);
    this.ledger.carry(container, from.now, to.now);
    from.change(needs.resources, -1);
    to.change(needs.resources, 1);
  }

  /** @param work gets what the container needs while it is counted nowhere */
  without<T>(container: FleetContainer, work: (needs: PlacementNeeds) => T): T {
    const host = this.hosts.get(this.moved.get(container.id) ?? container.host);
    const needs = { ...container.needs, users: this.poolOf(container).users };
    if (!hasGroups(container) || !host) return work(needs);
    this.ledger.take(container, host.now);
    try {
      const { datacenter, constraints } = needs;
      return work({ ...needs, groups: this.ledger.needsOf(container, { datacenter, constraints }) });
    } finally {
      this.ledger.put(container, host.now);
    }
  }

  /** How much it evens out; undefined where the host does not fit, a rule would hold less, or it is not worth it. */
  gain(container: FleetContainer, from: PlannedHost, to: PlannedHost, needs: PlacementNeeds): number | undefined {
    const gain = gainOf(from.now, to.now, needs.resources, container.isRunning);
    if (gain === undefined) return undefined;
    const filters = filtersFor(needs).filter(({ isOfKind }) => !isOfKind);
    if (excluding(to.now, needs, filters) !== undefined) return undefined;
    if (groupScore(to, needs) < groupScore(from, needs) - ROUNDING) return undefined;
    return this.ledger.disturbs(container, from.now, to.now) ? undefined : gain;
  }

  /** The same for containers that the same hosts fit, whatever is on them. */
  kindOf(container: FleetContainer): string {
    const known = this.kinds.get(container);
    if (known !== undefined) return known;
    const { ports: _ports, ...needs } = container.needs;
    const kind = kindKey(needs, undefined);
    this.kinds.set(container, kind);
    return kind;
  }

  /** Hosts that are what it needs, whatever is on them, the least used first. */
  poolOf(container: FleetContainer): Pool {
    const key = this.kindOf(container);
    const known = this.pools.get(key);
    if (known) return known;
    const { ports: _ports, ...needs } = container.needs;
    const there = this.datacenters.get(needs.datacenter ?? '')?.hosts ?? [];
    const met = hostsOfKind(
      there.map(({ now }) => now),
      needs,
    );
    const order = new UseOrder(met.hosts.flatMap(({ host }) => this.hosts.get(host) ?? []));
    const pool = { order, users: met.needs.users };
    this.pools.set(key, pool);
    return pool;
  }

  /** The required rule that does not hold where the container is. */
  unmetOf(container: FleetContainer): Cause | undefined {
    const host = this.hosts.get(this.moved.get(container.id) ?? container.host);
    if (!host || !requiresSomething(container)) return undefined;
    return this.without(container, (needs) => firstUnmet(host, needs));
  }

  *balance(): Steps<FleetBalance> {
    let rulesNotMet = 0;
    for (const [index, container] of this.ruled.entries()) {
      if (index % FEW === 0) yield;
      if (this.unmetOf(container) !== undefined) rulesNotMet++;
    }
    const datacenters = [...this.datacenters].flatMap(([name, { hosts }]) => balanceOf(name, hosts) ?? []);
    return { datacenters, rulesNotMet };
  }
}

export function hasGroups({ rules }: FleetContainer): boolean {
  const { group, spread, affinity, antiAffinity } = rules;
  return group !== undefined || spread !== undefined || affinity !== undefined || antiAffinity !== undefined;
}

export function firstUnmet({ now }: Pick<PlannedHost, 'now'>, needs: PlacementNeeds): Cause | undefined {
  const filter = RULES.find((each) => each.concerns(needs) && !each.fits(now, needs));
  return filter && { reason: filter.name as RebalanceMoveReason, why: filter.why(now, needs).slice(0, 500) };
}

/** How far the rules of groups hold there: what a placement counts of them with every policy. */
export function groupScore({ now }: Pick<PlannedHost, 'now'>, needs: PlacementNeeds): number {
  return needs.groups ? scoreOf(now, needs, scorersFor(needs, 'round-robin')) : 0;
}

function heldBy({ tenant, rules }: FleetContainer, { host, datacenter, labels }: CandidateHost): RuleHolders {
  return { tenant, rules, host, datacenter, labels, count: 1 };
}

function hasRules(container: FleetContainer): boolean {
  return (container.needs.constraints?.length ?? 0) > 0 || hasGroups(container);
}

function requiresSomething({ needs, rules: { spread, affinity, antiAffinity } }: FleetContainer): boolean {
  if ((needs.constraints?.length ?? 0) > 0) return true;
  return [spread, affinity, antiAffinity].some((rule) => rule?.isRequired === true);
}

function add<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}
