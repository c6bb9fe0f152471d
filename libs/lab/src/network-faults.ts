/** What is wrong with the network between machines, and the rules of the lab's bridge that make it so: pure. */
import { LabError, type PlannedMachine } from './plan.js';

export interface NetworkFault {
  readonly kind: 'cut' | 'slow';
  /** A machine or a data centre. */
  readonly from: string;
  /** Another one; absent: all others. */
  readonly to?: string;
  /** Only packets from `from` are concerned. */
  readonly oneWay: boolean;
  /** `slow`: what is more than this is dropped; of each direction. */
  readonly kibibytesPerSecond?: number;
  /** `slow`: of each hundred packets. */
  readonly lossPercent?: number;
}

/** nft(8): what a queue would hold, so that TCP finds its rate. */
const BURST_KIB = 64;
const BURST_SHARE = 10;

/**
 * The whole ruleset, which replaces the one before in one step.
 * @throws LabError when a fault names nothing of this lab
 */
export function bridgeRules(machines: readonly PlannedMachine[], faults: readonly NetworkFault[]): string {
  const rules = faults.flatMap((fault) => {
    const from = portsOf(machines, fault.from);
    const to = fault.to === undefined ? machines.map(({ port }) => port) : portsOf(machines, fault.to);
    // What machines of one data centre send each other is not on the way to another.
    const others = to.filter((port) => !from.includes(port));
    if (others.length === 0) return [];
    const forth = `iifname ${setOf(from)} oifname ${setOf(others)}`;
    const back = `iifname ${setOf(others)} oifname ${setOf(from)}`;
    return (fault.oneWay ? [forth] : [forth, back]).flatMap((match) =>
      dropped(fault).map((drop) => `${match} ${drop}`),
    );
  });
  return [
    'add table bridge lab',
    'flush table bridge lab',
    'table bridge lab {',
    '  chain faults {',
    '    type filter hook forward priority 0;',
    ...rules.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

function dropped({ kind, kibibytesPerSecond: rate, lossPercent: loss }: NetworkFault): string[] {
  if (kind === 'cut') return ['drop'];
  return [
    ...(loss === undefined ? [] : [`numgen random mod 100 < ${loss} drop`]),
    ...(rate === undefined
      ? []
      : [
          `limit rate over ${rate} kbytes/second burst ${Math.max(BURST_KIB, Math.ceil(rate / BURST_SHARE))} kbytes drop`,
        ]),
  ];
}

function portsOf(machines: readonly PlannedMachine[], name: string): string[] {
  const found = machines.filter((machine) => machine.name === name || machine.datacenter === name);
  if (found.length === 0) {
    const known = [...new Set(machines.flatMap((machine) => [machine.name, machine.datacenter]))];
    throw new LabError(`there is no machine or data centre ${name}; there are ${known.join(', ')}`);
  }
  return found.map(({ port }) => port);
}

const setOf = (ports: readonly string[]): string => `{ ${ports.map((port) => `"${port}"`).join(', ')} }`;
