/** Containers of other hosts that this one has to reach, and what follows from them. Pure. */
import { createHash } from 'node:crypto';
import { addressBytes, canonicalAddress, type Family, familyOf, overlap, parseNetwork } from '../address.js';
import type { Element } from '../nft/elements.js';

export interface RemoteContainer {
  readonly ipv4: string;
  readonly ipv6: string;
  /** 1 … 65535 */
  readonly tenant: number;
  /** Where its host is reached. */
  readonly hostAddress: string;
}

export interface RemoteOptions {
  /** Of this host. */
  readonly address: string;
  readonly pool4: string;
  readonly pool6: string;
  /** Whether the tenant follows from the source address alone. */
  readonly tenantByAddress: boolean;
}

export interface RemoteChange {
  readonly add: readonly RemoteContainer[];
  readonly remove: readonly RemoteContainer[];
  readonly addHosts: readonly string[];
  readonly removeHosts: readonly string[];
}

/** How a host is addressed within the tunnel; all hosts compute the same from its address. */
export interface HostKeys {
  readonly hardwareAddress: Buffer;
  /** Next hop of routes; that of IPv4 routes is the host's address itself, where it is IPv4. */
  readonly gateway6: string;
}

export function hostKeys(address: string): HostKeys {
  const digest = createHash('sha256').update(canonicalAddress(address)).digest();
  return {
    // Locally administered, of one station.
    hardwareAddress: Buffer.concat([Buffer.from([0x0a]), digest.subarray(0, 5)]),
    gateway6: canonicalAddress(`fe80::${[0, 2, 4, 6].map((at) => digest.readUInt16BE(at).toString(16)).join(':')}`),
  };
}

/** Addresses at which no other host is. */
const NOWHERE = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
];

export class RemoteContainers {
  /** By part; each container under what it was given as, undefined where it is left out. */
  private readonly parts = new Map<string, ReadonlyMap<string, RemoteContainer | undefined>>();
  /** By IPv4 address. */
  private readonly known = new Map<string, RemoteContainer & { readonly part: string }>();
  private readonly hosts = new Map<string, number>();
  private readonly unusable;

  constructor(private readonly options: RemoteOptions) {
    this.unusable = [...NOWHERE, options.pool4, options.pool6].map(parseNetwork);
  }

  get size(): number {
    return this.known.size;
  }

  all(): RemoteContainer[] {
    return [...this.known.values()];
  }

  allHosts(): string[] {
    return [...this.hosts.keys()];
  }

  /**
   * Replaces what is known under a name. A container whose host can't be reached from here, or whose addresses are
   * outside of the pools, is left out.
   */
  replace(part: string, containers: readonly RemoteContainer[]): RemoteChange {
    const earlier = this.parts.get(part) ?? new Map<string, RemoteContainer | undefined>();
    // What came before in the same form is not examined again: parts are long, and changes are short.
    const given = new Map(
      containers.map((container) => {
        const form = formOf(container);
        return [form, earlier.has(form) ? earlier.get(form) : this.usable(container)] as const;
      }),
    );
    const wanted = new Map([...given.values()].flatMap((one) => (one ? [[one.ipv4, one] as const] : [])));
    const add: RemoteContainer[] = [];
    const remove: RemoteContainer[] = [];
    const hostsBefore = new Set(this.hosts.keys());
    for (const ipv4 of new Set([...earlier.values()].flatMap((one) => one?.ipv4 ?? []))) {
      const before = this.known.get(ipv4);
      // Another part has the address since: it was given to a container of it.
      if (before?.part !== part) continue;
      const after = wanted.get(ipv4);
      if (after && isSame(before, after)) continue;
      remove.push(before);
      this.forget(before);
    }
    for (const container of wanted.values()) {
      const before = this.known.get(container.ipv4);
      if (before?.part === part) continue;
      if (before) {
        remove.push(before);
        this.forget(before);
      }
      this.known.set(container.ipv4, { ...container, part });
      this.hosts.set(container.hostAddress, (this.hosts.get(container.hostAddress) ?? 0) + 1);
      add.push(container);
    }
    if (wanted.size === 0) this.parts.delete(part);
    else this.parts.set(part, given);
    return {
      add,
      remove,
      addHosts: [...this.hosts.keys()].filter((host) => !hostsBefore.has(host)),
      removeHosts: [...hostsBefore].filter((host) => !this.hosts.has(host)),
    };
  }

  elements(): Element[] {
    return [...this.allHosts().map(hostElement), ...this.all().flatMap((container) => this.elementsOf(container))];
  }

  elementsOf({ ipv4, ipv6, tenant }: RemoteContainer): Element[] {
    const known = [
      { set: 'remote4', key: `${tenant} . ${ipv4}` },
      { set: 'remote6', key: `${tenant} . ${ipv6}` },
    ];
    if (!this.options.tenantByAddress) return known;
    return [
      ...known,
      { set: 'tenants4', key: ipv4, value: String(tenant) },
      { set: 'tenants6', key: ipv6, value: String(tenant) },
    ];
  }

  private forget({ ipv4, hostAddress }: RemoteContainer): void {
    this.known.delete(ipv4);
    const left = (this.hosts.get(hostAddress) ?? 1) - 1;
    if (left > 0) this.hosts.set(hostAddress, left);
    else this.hosts.delete(hostAddress);
  }

  private usable(container: RemoteContainer): RemoteContainer | undefined {
    const ipv4 = canonicalAddress(container.ipv4);
    const ipv6 = canonicalAddress(container.ipv6);
    const hostAddress = canonicalAddress(container.hostAddress);
    const own = canonicalAddress(this.options.address);
    const isReached =
      hostAddress !== own &&
      familyOf(hostAddress) === familyOf(own) &&
      !this.unusable.some((network) => overlap(network, parseNetwork(hostAddress)));
    const isOfPools =
      overlap(parseNetwork(this.options.pool4), parseNetwork(ipv4)) &&
      overlap(parseNetwork(this.options.pool6), parseNetwork(ipv6));
    return isReached && isOfPools ? { ipv4, ipv6, tenant: container.tenant, hostAddress } : undefined;
  }
}

const formOf = ({ ipv4, ipv6, tenant, hostAddress }: RemoteContainer): string =>
  `${ipv4} ${ipv6} ${tenant} ${hostAddress}`;

export function hostElement(address: string): Element {
  return { set: `hosts${familyOf(address)}`, key: address };
}

function isSame(one: RemoteContainer, other: RemoteContainer): boolean {
  return one.ipv6 === other.ipv6 && one.tenant === other.tenant && one.hostAddress === other.hostAddress;
}

/** A route to one address of a container. */
export interface RemoteRoute {
  readonly family: Family;
  readonly to: string;
  /** Of either family. */
  readonly via: string;
}

export const routeName = ({ to, via }: RemoteRoute): string => `${to} ${via}`;

/** @param tunnelled whether packets go through the tunnel, else over a link that both hosts share */
export function routesTo({ ipv4, ipv6, hostAddress }: RemoteContainer, tunnelled: boolean): RemoteRoute[] {
  const { gateway6 } = hostKeys(hostAddress);
  const isIpv4 = familyOf(hostAddress) === 4;
  if (!tunnelled)
    // No IPv6 packet goes by an IPv4 next hop.
    return [
      { family: 4 as const, to: ipv4, via: hostAddress },
      ...(isIpv4 ? [] : [{ family: 6 as const, to: ipv6, via: hostAddress }]),
    ];
  return [
    { family: 4, to: ipv4, via: isIpv4 ? hostAddress : gateway6 },
    { family: 6, to: ipv6, via: gateway6 },
  ];
}

/** In network order. */
export const viaBytes = (via: string): Buffer => addressBytes(via);
