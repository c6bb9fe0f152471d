/** Whether a move evens two hosts out, how much, and how the hosts of a fleet differ. */
import type { DatacenterBalance } from '@plinth/contracts';
import type { CandidateHost, Resources } from '../../placement/domain/placement.js';
import { usedShare } from '../../placement/domain/scorers.js';
import { changed, type PlannedHost } from './use-order.js';

/** A stop and a start cost something however small the container is. */
const COST_OF_ANY = 64 * 1024 ** 2;
/** Nobody notices that a stopped one moves. */
const SHARE_OF_STOPPED = 1 / 8;
const ROUNDING = 1e-9;

/**
 * What a move evens out for what it costs; more is better. Both hosts end between where they were, so that the largest
 * difference does not grow, and at least half of what moves has to lessen their difference: a container that is too
 * large for both is not sent to and fro.
 * @returns undefined: the move is not worth it
 */
export function gainOf(
  from: CandidateHost,
  to: CandidateHost,
  resources: Resources,
  isRunning: boolean,
): number | undefined {
  const most = usedShare(from);
  const least = usedShare(to);
  const fromAfter = usedShare(changed(from, resources, -1));
  const toAfter = usedShare(changed(to, resources, 1));
  const inside = fromAfter >= least - ROUNDING && toAfter <= most + ROUNDING;
  const gap = most - least;
  const step = (most - fromAfter + (toAfter - least)) / 2;
  if (!inside || step <= 0 || Math.abs(fromAfter - toAfter) > gap - step + ROUNDING) return undefined;
  const gain = most ** 2 + least ** 2 - fromAfter ** 2 - toAfter ** 2;
  if (gain <= ROUNDING) return undefined;
  return gain / ((resources.memoryBytes + COST_OF_ANY) * (isRunning ? 1 : SHARE_OF_STOPPED));
}

/** @param hosts of one data centre, the least used first */
export function balanceOf(datacenter: string, hosts: readonly PlannedHost[]): DatacenterBalance | undefined {
  const first = hosts[0];
  const last = hosts.at(-1);
  if (!first || !last) return undefined;
  const mean = hosts.reduce((sum, { use }) => sum + use, 0) / hosts.length;
  return {
    datacenter,
    hosts: hosts.length,
    mean: rounded(mean),
    most: rounded(last.use),
    mostOn: last.now.host,
    least: rounded(first.use),
    leastOn: first.now.host,
  };
}

export function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

function rounded(share: number): number {
  return Math.round(share * 10_000) / 10_000;
}
