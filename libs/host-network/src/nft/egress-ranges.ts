/**
 * What an egress list permits, in parts that do not overlap: the kernel refuses elements of one set that do. Pure.
 */
import { familyOf, type AddressRange, type Family, parseNetwork, rangeText } from '../address.js';
import type { EgressTarget } from '../container-network.js';

interface Ports {
  readonly first: number;
  readonly last: number;
}

/** Part of the addresses, and what is permitted to it. */
export interface EgressPart {
  /** As nft(8) writes it. */
  readonly addresses: string;
  /** Everything when absent. */
  readonly services?: readonly { readonly protocol: 'tcp' | 'udp'; readonly ports: string }[];
}

const PROTOCOLS = ['tcp', 'udp'] as const;
const ALL_PORTS: Ports = { first: 0, last: 65_535 };

export function egressParts(targets: readonly EgressTarget[], family: Family): EgressPart[] {
  const parsed = targets
    .filter(({ network }) => familyOf(network.split('/')[0] ?? '') === family)
    .map((target) => ({ target, range: parseNetwork(target.network) as AddressRange }));
  const cuts = [...new Set(parsed.flatMap(({ range }) => [range.first, range.last + 1n]))].sort((a, b) =>
    a < b ? -1 : 1,
  );
  const parts: EgressPart[] = [];
  for (const [index, first] of cuts.entries()) {
    const next = cuts[index + 1];
    if (next === undefined) break;
    const here = parsed.filter(({ range }) => range.first <= first && first <= range.last).map(({ target }) => target);
    if (here.length === 0) continue;
    const addresses = rangeText({ family, first, last: next - 1n });
    if (here.some(({ protocol, ports }) => protocol === undefined && ports === undefined)) {
      parts.push({ addresses });
      continue;
    }
    const services = PROTOCOLS.flatMap((protocol) =>
      merged(here.filter((target) => (target.protocol ?? protocol) === protocol).flatMap(portsOf)).map((ports) => ({
        protocol,
        ports: ports.first === ports.last ? String(ports.first) : `${ports.first}-${ports.last}`,
      })),
    );
    parts.push({ addresses, services });
  }
  return parts;
}

function portsOf({ ports }: EgressTarget): Ports[] {
  if (ports === undefined) return [ALL_PORTS];
  return ports.map((text) => {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
    const range = { first: Number(first), last: Number(last ?? first) };
    if (!(range.first <= range.last && range.last <= ALL_PORTS.last))
      throw new RangeError(`${JSON.stringify(text)} is no port and no range of ports`);
    return range;
  });
}

function merged(ranges: readonly Ports[]): Ports[] {
  const found: Ports[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = found.at(-1);
    if (before && range.first <= before.last + 1)
      found[found.length - 1] = { first: before.first, last: Math.max(before.last, range.last) };
    else found.push(range);
  }
  return found;
}
