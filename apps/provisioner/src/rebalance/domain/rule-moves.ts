/** Moves by which rules of constraints and groups hold again that labels, racks or other containers have broken. */
import { chooseHosts } from '../../placement/domain/choice.js';
import { scorersFor } from '../../placement/domain/scorers.js';
import type { FleetContainer } from './fleet.js';
import { type Cause, FEW, firstUnmet, groupScore, type PlanState, type Steps } from './plan-state.js';
import type { PlannedHost } from './use-order.js';

/** A preferred rule has to hold by so much more that a stop and a start are worth it. */
export const LEAST_PREFERENCE = 0.5;

interface Wanting {
  readonly container: FleetContainer;
  readonly isRequired: boolean;
}

/**
 * Required rules first, then preferred ones; of each the smallest containers first.
 * @param hopeless what no host was better for, by what it depends on; what has moved since may have made room, so that
 * a plan ends with a look without it
 */
export function* meetRules(state: PlanState, hopeless: Set<string>): Steps {
  const found: Wanting[] = [];
  for (const [index, container] of state.ruled.entries()) {
    if (index % FEW === 0) yield;
    if (container.stays !== undefined || state.hasMoved(container)) continue;
    const isRequired = standing(state, container);
    if (isRequired !== undefined) found.push({ container, isRequired });
  }
  found.sort(
    (a, b) =>
      Number(b.isRequired) - Number(a.isRequired) ||
      a.container.needs.resources.memoryBytes - b.container.needs.resources.memoryBytes ||
      (a.container.id < b.container.id ? -1 : 1),
  );
  for (const { container } of found) {
    if (state.isCut) return;
    // It may look at all hosts.
    yield;
    meetRulesOf(state, container, hopeless);
  }
}

/** @returns whether a required rule does not hold; undefined: nothing could be better */
function standing(state: PlanState, container: FleetContainer): boolean | undefined {
  const host = state.hosts.get(container.host);
  if (!host) return undefined;
  return state.without(container, (needs) => {
    if (firstUnmet(host, needs)) return true;
    const most = scorersFor(needs, 'round-robin').reduce((sum, { weight }) => sum + weight, 0);
    return groupScore(host, needs) + LEAST_PREFERENCE <= most ? false : undefined;
  });
}

function meetRulesOf(state: PlanState, container: FleetContainer, hopeless: Set<string>): void {
  const from = state.hosts.get(container.host);
  if (!from) return;
  const found = state.without(container, (needs): { to: PlannedHost; unmet: Cause | undefined } | undefined => {
    const unmet = firstUnmet(from, needs);
    const here = groupScore(from, needs);
    const { memoryBytes, cpus } = needs.resources;
    const { tenant, rules } = container;
    const groups = JSON.stringify([tenant, rules, state.ledger.placesOf(container, from.now)]);
    const key = [state.kindOf(container), groups, memoryBytes, cpus, needs.ports && container.id].join();
    if (hopeless.has(key)) return undefined;
    const others = state.poolOf(container).order.hosts.flatMap((host) => (host === from ? [] : [host.now]));
    const choice = chooseHosts(others, needs, 'least-loaded', 0, 0);
    const best = choice.ok
      ? choice.ranked.find(({ host }) => {
          if (!unmet && groupScore({ now: host }, needs) - here < LEAST_PREFERENCE) return false;
          return !state.ledger.disturbs(container, from.now, host);
        })
      : undefined;
    const to = best && state.hosts.get(best.host.host);
    if (!to) hopeless.add(key);
    return to && { to, unmet };
  });
  if (!found) return;
  const { to, unmet } = found;
  const preferred = { reason: 'preferred' as const, why: `${rulesText(container)} holds better on ${to.now.host}` };
  state.carryOut(container, from, to, unmet ?? preferred);
}

function rulesText({ rules }: FleetContainer): string {
  const named = [rules.spread && 'spread', rules.affinity && 'near', rules.antiAffinity && 'apart'];
  return named.filter((name) => name !== undefined).join(', ');
}
