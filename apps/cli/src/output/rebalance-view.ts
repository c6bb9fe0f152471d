/** Moves that even out hosts, for people. */
import {
  type FleetBalance,
  type ProposedMove,
  type RebalanceCounts,
  type RebalanceDetails,
  type RebalancePlan,
  STAY_REASONS,
} from '@plinth/contracts';
import { age, bytes, counted, table } from './table.js';

/** @param next what to type to carry it out */
export function describePlan(plan: RebalancePlan, next: string): string {
  const { before, after, moves, isCut, unmet, stays, thresholdPercent } = plan;
  const parts = [balanceTable(before, after)];
  if (moves.length > 0)
    parts.push(
      table(
        ['CONTAINER', 'TENANT', 'FROM', 'TO', 'MEMORY', 'FOR', 'WHY'],
        moves.map((move) => [...whichMove(move), move.reason, move.why]),
      ),
    );
  if (unmet.length > 0)
    parts.push(
      table(
        ['NOT MET', 'TENANT', 'HOST', 'RULE', 'WHY'],
        unmet.map(({ name, tenant, host, rule, why }) => [name, tenant, host, rule, why]),
      ),
    );
  const staying = stays.map(({ reason, count }) => `${count} ${staysText(reason)}`);
  if (staying.length > 0) parts.push(`of those that were looked at, these stay: ${staying.join('; ')}`);
  if (moves.length === 0)
    parts.push(`nothing to move: hosts may differ by ${thresholdPercent} percentage points (--threshold)`);
  else parts.push(`${costText(moves)}${isCut ? '; more would follow (--max-moves)' : ''}`, `carry it out: ${next}`);
  return parts.join('\n\n');
}

/** `5 moves of 320.0 MiB in all: each container that runs is stopped and started again, 4 of them` */
export function costText(moves: readonly ProposedMove[]): string {
  const memory = moves.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const running = moves.filter(({ isRunning }) => isRunning).length;
  return (
    `${counted(moves.length, 'move')} of ${bytes(memory)} in all; ` +
    (running === 0
      ? 'none of the containers runs'
      : `${running === moves.length ? 'each' : `each of the ${running} that run`} is stopped and started again on its new host`)
  );
}

export function describeRebalance(one: RebalanceDetails): string {
  const rows: [string, string | null][] = [
    ['rebalance', one.id],
    ['state', one.state],
    ['message', one.message],
    ['moves', countsText(one.counts)],
    ['began', `${one.requestedAt} (${age(one.requestedAt, Date.now())} ago)`],
    ['ended', one.endedAt],
  ];
  return [
    table(['WHAT', 'VALUE'], rows),
    `as planned:\n${balanceTable(one.before, one.after)}`,
    table(
      ['CONTAINER', 'TENANT', 'FROM', 'TO', 'MEMORY', 'FOR', 'STATE', 'MESSAGE'],
      one.moves.map((move) => [...whichMove(move), move.reason, move.phase, move.message]),
    ),
  ].join('\n\n');
}

/** `12: 3 moved, 1 moving` */
export function countsText({ total, ...phases }: RebalanceCounts): string {
  const parts = Object.entries(phases).flatMap(([phase, count]) => (count > 0 ? [`${count} ${phase}`] : []));
  return `${total}: ${parts.join(', ') || 'none'}`;
}

function balanceTable(before: FleetBalance, after: FleetBalance): string {
  const rows = before.datacenters.map((was, index): (string | number)[] => {
    const will = after.datacenters[index] ?? was;
    return [
      was.datacenter,
      was.hosts,
      percent(was.mean),
      `${percent(was.most)} on ${was.mostOn} → ${percent(will.most)}`,
      `${percent(was.least)} on ${was.leastOn} → ${percent(will.least)}`,
      `${points(was.most - was.least)} → ${points(will.most - will.least)}`,
    ];
  });
  const rules =
    before.rulesNotMet + after.rulesNotMet > 0
      ? `\ncontainers where a required rule does not hold: ${before.rulesNotMet} → ${after.rulesNotMet}`
      : '';
  return `${table(['DATACENTER', 'HOSTS', 'RESERVED', 'MOST', 'LEAST', 'IMBALANCE'], rows)}${rules}`;
}

function whichMove({ name, tenant, from, to, memoryBytes, isRunning }: ProposedMove): string[] {
  return [isRunning ? name : `${name} (stopped)`, tenant, from, to, bytes(memoryBytes)];
}

/** @param reason also of a newer provisioner */
function staysText(reason: string): string {
  return Object.hasOwn(STAY_REASONS, reason) ? STAY_REASONS[reason as keyof typeof STAY_REASONS] : reason;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Of percentage. */
function points(share: number): string {
  return (share * 100).toFixed(1);
}
