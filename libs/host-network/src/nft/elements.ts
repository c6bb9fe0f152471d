/** The elements of sets and maps that containers need; the chains that use them are in ruleset.ts. Pure. */
import { canonicalAddress, familyOf, type Family } from '../address.js';
import type { ContainerNetwork } from '../container-network.js';
import { egressParts } from './egress-ranges.js';
import { BUCKETS } from './ruleset.js';

export interface Element {
  /** Name of its set or map. */
  readonly set: string;
  /** As nft(8) writes it: parts with ` . ` between them. */
  readonly key: string;
  /** Of maps. */
  readonly value?: string;
}

/** A container and the host's end of its pair. */
export interface AttachedNetwork extends ContainerNetwork {
  readonly interface: string;
}

const FILLED_BY_KERNEL: readonly string[] = Object.values(BUCKETS);

const parts = (...each: readonly (string | number)[]): string => each.join(' . ');

export function elementsOf(container: AttachedNetwork): Element[] {
  const ipv4 = canonicalAddress(container.ipv4);
  const ipv6 = canonicalAddress(container.ipv6);
  const { tenant } = container;
  const own: Element[] = [
    { set: 'tenant4', key: parts(container.interface, ipv4), value: String(tenant) },
    { set: 'tenant6', key: parts(container.interface, ipv6), value: String(tenant) },
    { set: 'member4', key: parts(tenant, ipv4) },
    { set: 'member6', key: parts(tenant, ipv6) },
  ];
  return [
    ...own,
    ...portElements(container, ipv4, ipv6),
    ...egressElements(container, 4, ipv4),
    ...egressElements(container, 6, ipv6),
  ];
}

export function portElements({ ports }: ContainerNetwork, ipv4: string, ipv6: string): Element[] {
  return ports.flatMap(({ protocol, hostPort, containerPort, hostAddress }) => {
    const at = hostAddress === undefined ? undefined : canonicalAddress(hostAddress);
    // The unspecified address means every one of its family.
    const every = at === undefined || at === '0.0.0.0' || at === '::';
    const families: readonly Family[] = at === undefined ? [4, 6] : [familyOf(at)];
    return families.map((family) => ({
      set: `${every ? 'ports' : 'bound'}${family}`,
      key: every ? parts(protocol, hostPort) : parts(at ?? '', protocol, hostPort),
      value: parts(family === 4 ? ipv4 : ipv6, containerPort),
    }));
  });
}

function egressElements({ egress }: ContainerNetwork, family: Family, own: string): Element[] {
  if (egress.policy === 'allow') return [];
  const to = egress.policy === 'list' ? egressParts(egress.to ?? [], family) : [];
  return [
    { set: `limited${family}`, key: own },
    ...to.flatMap(({ addresses, services }): Element[] =>
      services === undefined
        ? [{ set: `networks${family}`, key: parts(own, addresses) }]
        : services.map(({ protocol, ports }) => ({
            set: `services${family}`,
            key: parts(own, addresses, protocol, ports),
          })),
    ),
  ];
}

export const elementName = ({ set, key }: Pick<Element, 'set' | 'key'>): string => `${set} ${key}`;

export interface Change {
  readonly add: readonly Element[];
  readonly remove: readonly Element[];
}

/** An element of a map whose value differs is removed and added. */
export function difference(present: readonly Element[], wanted: readonly Element[]): Change {
  const before = new Map(present.map((element) => [elementName(element), element.value]));
  const after = new Map(wanted.map((element) => [elementName(element), element.value]));
  const isKept = (one: ReadonlyMap<string, string | undefined>, element: Element): boolean =>
    one.has(elementName(element)) && one.get(elementName(element)) === element.value;
  return {
    add: wanted.filter((element) => !isKept(before, element)),
    remove: present.filter((element) => !isKept(after, element)),
  };
}

/** One transaction for nft(8); removals come first. */
export function changeText(table: string, { add, remove }: Change): string {
  return [...statements('delete', table, remove), ...statements('add', table, add)].join('\n');
}

function statements(verb: 'add' | 'delete', table: string, elements: readonly Element[]): string[] {
  const bySet = new Map<string, string[]>();
  for (const { set, key, value } of elements) {
    const listed = bySet.get(set) ?? [];
    listed.push(value === undefined || verb === 'delete' ? quoted(key) : `${quoted(key)} : ${value}`);
    bySet.set(set, listed);
  }
  return [...bySet].map(([set, listed]) => `${verb} element inet ${table} ${set} { ${listed.join(', ')} }`);
}

/** A name of an interface may look like a number. */
function quoted(key: string): string {
  return key.replace(/^plc\w+/, '"$&"');
}

/** What `nft --json list table` prints, as far as it concerns elements. @throws TypeError for another shape */
export function elementsInListing(listing: unknown): Element[] {
  const { nftables } = listing as { nftables: readonly Record<string, unknown>[] };
  return nftables.flatMap((item) => {
    const set = (item['set'] ?? item['map']) as { name: string; elem?: readonly unknown[] } | undefined;
    if (set === undefined || FILLED_BY_KERNEL.includes(set.name)) return [];
    return (set.elem ?? []).map((elem): Element => {
      if (item['map'] === undefined) return { set: set.name, key: listedKey(elem) };
      const [key, value] = elem as readonly [unknown, unknown];
      return { set: set.name, key: listedKey(key), value: listedKey(value) };
    });
  });
}

function listedKey(listed: unknown): string {
  if (typeof listed === 'string' || typeof listed === 'number') return String(listed);
  const { concat, prefix, range, elem } = listed as {
    concat?: readonly unknown[];
    prefix?: { addr: string; len: number };
    range?: readonly unknown[];
    elem?: { val: unknown };
  };
  if (concat) return concat.map(listedKey).join(' . ');
  if (prefix) return `${prefix.addr}/${prefix.len}`;
  if (range) return range.map(listedKey).join('-');
  if (elem) return listedKey(elem.val);
  throw new TypeError(`an element that is not understood: ${JSON.stringify(listed)}`);
}
