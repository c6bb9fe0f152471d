/**
 * Which containers move where so that rules hold again and hosts even out. Pure; the filters and scorers are those of a
 * placement. A container moves once in a plan.
 */
import {
  type ProposedMove,
  type RebalancePlan,
  STAY_REASONS,
  type StayCount,
  type StayReason,
  type UnmetRule,
} from '@plinth/contracts';
import { chooseHosts } from '../../placement/domain/choice.js';
import { excluding, filtersFor } from '../../placement/domain/filters.js';
import { percent } from './balance.js';
import { evenOut } from './balance-moves.js';
import type { Fleet, FleetContainer } from './fleet.js';
import { firstUnmet, groupScore, type PlanOptions, PlanState, type Steps } from './plan-state.js';
import { LEAST_PREFERENCE, meetRules } from './rule-moves.js';

const SHOWN_UNMET = 20;

export function planRebalance(fleet: Fleet, options: PlanOptions): RebalancePlan {
  return allAtOnce(planInSteps(fleet, options));
}

/** {@link planRebalance} in steps: with ten thousand hosts it may take seconds. The fleet must stay as it is meanwhile. */
export function* planInSteps(fleet: Fleet, options: PlanOptions): Steps<RebalancePlan> {
  const state = new PlanState(fleet, options);
  yield* state.start();
  const before = yield* state.balance();
  const hopeless = new Set<string>();
  const uneven = new Set<string>();
  // Each may make room for the other.
  for (let seen = -1; seen !== state.moves.length && !state.isCut;) {
    seen = state.moves.length;
    hopeless.clear();
    yield* meetRules(state, hopeless);
    for (const [name, order] of state.datacenters) yield* evenOut(state, name, order, uneven);
  }
  return {
    before,
    after: yield* state.balance(),
    thresholdPercent: options.thresholdPercent,
    moves: state.moves,
    isCut: state.isCut,
    unmet: yield* unmetRules(state),
    stays: stayCounts(state),
  };
}

function allAtOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * Whether a move that was planned is still good for something, on the fleet as it is now.
 * @returns why not; undefined: it is
 */
export function whyNoLonger(fleet: Fleet, { containerId, to, reason }: ProposedMove): string | undefined {
  const state = new PlanState(fleet, { thresholdPercent: 1, maxMoves: 1 });
  allAtOnce(state.start());
  const container = fleet.containers.find(({ id }) => id === containerId);
  const from = container && state.hosts.get(container.host);
  const target = state.hosts.get(to);
  if (!container || !from) return 'it is not on a host that gets containers any more';
  if (container.host === to) return `it is on ${to} already`;
  if (container.stays !== undefined) return staysText(container.stays);
  if (!target) return `${to} gets no containers any more`;
  return state.without(container, (needs) => {
    const filter = excluding(target.now, needs, filtersFor(needs));
    if (filter) return `${to} does not fit any more: ${filter.why(target.now, needs)}`;
    if (state.ledger.disturbs(container, from.now, target.now)) return 'others of its group would be worse off';
    if (reason === 'balance')
      return state.gain(container, from, target, needs) === undefined
        ? `it would no longer even out ${from.now.host} (${percent(from.use)}) and ${to} (${percent(target.use)})`
        : undefined;
    const isBetter = groupScore(target, needs) - groupScore(from, needs) >= LEAST_PREFERENCE;
    return isBetter || firstUnmet(from, needs) !== undefined ? undefined : 'what it asked for holds where it is';
  });
}

function* unmetRules(state: PlanState): Steps<UnmetRule[]> {
  const unmet: UnmetRule[] = [];
  for (const container of state.ruled) {
    if (unmet.length >= SHOWN_UNMET) break;
    yield;
    const found = state.unmetOf(container);
    if (!found) continue;
    const { id: containerId, name, tenant, host, stays } = container;
    const because = stays === undefined ? whyUnmoved(state, container) : staysText(stays);
    const why = `${found.why}; ${because}`.slice(0, 4000);
    unmet.push({ containerId, name, tenant, host, rule: found.reason, why });
  }
  return unmet;
}

function whyUnmoved(state: PlanState, container: FleetContainer): string {
  if (state.isCut) return 'it comes after the moves that are allowed';
  if (state.hasMoved(container)) return 'it moves for something else first';
  return state.without(container, (needs) => {
    const { hosts } = state.poolOf(container).order;
    const others = hosts.flatMap(({ now }) => (now.host === container.host ? [] : [now]));
    const choice = chooseHosts(others, needs, 'least-loaded', 0, 0);
    return choice.ok ? 'others of its group would be worse off elsewhere' : choice.message;
  });
}

function stayCounts(state: PlanState): StayCount[] {
  const counts = new Map<StayReason, number>();
  for (const container of state.fleet.containers)
    if (container.stays !== undefined && state.isInScope(container))
      counts.set(container.stays, (counts.get(container.stays) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, count]) => ({ reason, count }));
}

function staysText(reason: StayReason): string {
  return `it is ${STAY_REASONS[reason]}`;
}
