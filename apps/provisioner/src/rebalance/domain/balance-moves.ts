/** Moves off the most used hosts of a data centre to the least used ones. */
import type { FleetContainer } from './fleet.js';
import { percent } from './balance.js';
import { hasGroups, type PlanState, type Steps } from './plan-state.js';
import type { PlannedHost, UseOrder } from './use-order.js';

/** Once some hosts differed by more than the threshold, all are evened out to this share of it: the next plan is empty. */
export const EVEN_SHARE = 0.5;
/** Hosts that are tried for one container, the least used first. */
const TRIES = 32;
const ROUNDING = 1e-9;

interface Candidate {
  readonly container: FleetContainer;
  readonly to: PlannedHost;
  readonly gain: number;
}

/** @param uneven data centres in which something was evened out; it is added to */
export function* evenOut(state: PlanState, datacenter: string, order: UseOrder, uneven: Set<string>): Steps {
  const leastGap = (): number =>
    (state.options.thresholdPercent / 100) * (uneven.has(datacenter) ? EVEN_SHARE : 1) + ROUNDING;
  const stuck = new Set<PlannedHost>();
  let before = state.moves.length;
  while (!state.isCut) {
    yield;
    const from = order.hosts.findLast((host) => !stuck.has(host));
    const least = order.hosts[0];
    if (!from || !least || from.use - least.use <= leastGap()) {
      // Hosts from which nothing could move may have found others to move to.
      if (state.moves.length === before || stuck.size === 0) return;
      before = state.moves.length;
      stuck.clear();
      continue;
    }
    const best = bestFrom(state, from, leastGap());
    if (!best) {
      stuck.add(from);
      continue;
    }
    const why = `${from.now.host} has ${percent(from.use)} reserved, ${best.to.now.host} ${percent(best.to.use)}`;
    uneven.add(datacenter);
    state.carryOut(best.container, from, best.to, { reason: 'balance', why });
  }
}

/** What evens out most for what it costs, each to the least used host that fits. */
function bestFrom(state: PlanState, from: PlannedHost, leastGap: number): Candidate | undefined {
  let best: Candidate | undefined;
  const alike = new Set<string>();
  for (const container of state.movable.get(from.now.host) ?? []) {
    if (state.hasMoved(container)) continue;
    const { needs, isRunning } = container;
    if (!needs.ports && !hasGroups(container)) {
      const { memoryBytes, cpus } = needs.resources;
      const key = `${state.kindOf(container)} ${memoryBytes} ${cpus} ${isRunning}`;
      if (alike.has(key)) continue;
      alike.add(key);
    }
    const found = bestFor(state, container, from, leastGap);
    if (found && (!best || found.gain > best.gain)) best = found;
  }
  return best;
}

function bestFor(
  state: PlanState,
  container: FleetContainer,
  from: PlannedHost,
  leastGap: number,
): Candidate | undefined {
  return state.without(container, (needs) => {
    let tries = 0;
    for (const to of state.poolOf(container).order.hosts) {
      if (to === from) continue;
      if (from.use - to.use <= leastGap || tries++ >= TRIES) return undefined;
      const gain = state.gain(container, from, to, needs);
      if (gain !== undefined) return { container, to, gain };
    }
    return undefined;
  });
}
