/** All names of a machine: what each of its agents has written, by name, by address, and by who asks. Pure. */
import { BlockList, isIPv4 } from 'node:net';
import { addressKey, containerName } from './labels.js';
import { addNetwork, type NamedContainer, type ZoneChange, type ZoneHeader } from './zone-journal.js';

/** Who asks: the host itself knows every tenant's names, a container those of its own. */
export type Viewer =
  | { readonly kind: 'operator' }
  | { readonly kind: 'container'; readonly tenant: string; readonly domain: string; readonly forwards: boolean };

export interface Named extends NamedContainer {
  readonly domain: string;
  /** Whether containers here reach it by IPv6, as far as this machine is concerned. */
  readonly hasIpv6: boolean;
}

/** One agent's file. */
interface Zone {
  readonly header: ZoneHeader;
  readonly pools: BlockList;
  readonly containers: Map<string, Named>;
}

/** A queried name, as far as it is one of ours. */
export type Place =
  /** Below no domain of ours. */
  | { readonly kind: 'outside' }
  /** The domain itself, or one with a tenant's label: it holds names, and has no address. */
  | { readonly kind: 'empty'; readonly domain: string }
  | { readonly kind: 'absent'; readonly domain: string }
  | { readonly kind: 'container'; readonly domain: string; readonly containers: readonly Named[] };

export class Zones {
  private readonly zones = new Map<string, Zone>();
  private readonly byName = new Map<string, Set<Named>>();
  private readonly byAddress = new Map<string, Set<Named>>();
  /** Containers of each `<tenant>.<domain>`. */
  private readonly tenants = new Map<string, number>();

  /** @param source of the agent; what it has set before is forgotten */
  begin(source: string, header: ZoneHeader): void {
    this.end(source);
    const pools = new BlockList();
    for (const pool of header.pools) addNetwork(pools, pool);
    this.zones.set(source, { header, pools, containers: new Map() });
  }

  end(source: string): void {
    const zone = this.zones.get(source);
    if (!zone) return;
    for (const container of zone.containers.values()) this.forget(container);
    this.zones.delete(source);
  }

  change(source: string, change: ZoneChange): void {
    const zone = this.zones.get(source);
    if (!zone) return;
    const id = change.kind === 'set' ? change.container.id : change.id;
    const before = zone.containers.get(id);
    if (before) {
      zone.containers.delete(id);
      this.forget(before);
    }
    if (change.kind === 'gone') return;
    const { domain, hasIpv6 = true } = zone.header;
    const container = { ...change.container, domain, hasIpv6 };
    zone.containers.set(id, container);
    for (const [index, key] of this.keysOf(container)) put(index, key, container);
    const tenant = tenantKey(container);
    this.tenants.set(tenant, (this.tenants.get(tenant) ?? 0) + 1);
  }

  get size(): number {
    return this.byName.size;
  }

  get headers(): readonly ZoneHeader[] {
    return [...this.zones.values()].map(({ header }) => header);
  }

  /** The container of this machine that has the address. */
  askerAt(address: string): Viewer | undefined {
    // A link-local address names an interface: no container is found by one.
    if (address.includes('%')) return undefined;
    const found = [...(this.byAddress.get(addressKey(address)) ?? [])].find(({ local }) => local);
    return found && { kind: 'container', tenant: found.tenant, domain: found.domain, forwards: found.forwards };
  }

  /** @param name in lower case, without the last dot */
  find(name: string, viewer: Viewer): Place {
    const domain = this.domainOf(name);
    if (domain === undefined) return { kind: 'outside' };
    if (name === domain) return { kind: 'empty', domain };
    const labels = name.slice(0, -domain.length - 1).split('.');
    const tenant = labels.at(-1) ?? '';
    if (!sees(viewer, tenant, domain)) return { kind: 'absent', domain };
    if (labels.length === 1) {
      // To a container its own tenant is there, also when the last other name of it is gone.
      const isThere = viewer.kind === 'container' || this.tenants.has(`${tenant}.${domain}`);
      return isThere ? { kind: 'empty', domain } : { kind: 'absent', domain };
    }
    const containers = [...(this.byName.get(name) ?? [])];
    return containers.length > 0
      ? { kind: 'container', domain, containers: latest(containers) }
      : { kind: 'absent', domain };
  }

  /** By address: what a name below in-addr.arpa or ip6.arpa is about. */
  findAddress(address: string, viewer: Viewer): Place {
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    const domain = [...this.zones.values()].find(({ pools }) => pools.check(address, family))?.header.domain;
    if (domain === undefined) return { kind: 'outside' };
    const containers = [...(this.byAddress.get(addressKey(address)) ?? [])].filter((container) =>
      sees(viewer, container.tenant, container.domain),
    );
    return containers.length > 0
      ? { kind: 'container', domain, containers: latest(containers) }
      : { kind: 'absent', domain };
  }

  private domainOf(name: string): string | undefined {
    // One agent's domain may be within another's.
    let longest: string | undefined;
    for (const { header } of this.zones.values())
      if (
        (name === header.domain || name.endsWith(`.${header.domain}`)) &&
        header.domain.length > (longest?.length ?? 0)
      )
        longest = header.domain;
    return longest;
  }

  private forget(container: Named): void {
    for (const [index, key] of this.keysOf(container)) take(index, key, container);
    const tenant = tenantKey(container);
    const left = (this.tenants.get(tenant) ?? 0) - 1;
    if (left > 0) this.tenants.set(tenant, left);
    else this.tenants.delete(tenant);
  }

  private keysOf(container: Named): readonly (readonly [Map<string, Set<Named>>, string])[] {
    return [
      [this.byName, containerName(container.name, container.tenant, container.domain)],
      [this.byAddress, container.ipv4],
      [this.byAddress, addressKey(container.ipv6)],
    ];
  }
}

function sees(viewer: Viewer, tenant: string, domain: string): boolean {
  return viewer.kind === 'operator' || (viewer.tenant === tenant && viewer.domain === domain);
}

/** Two agents may name one container; of two containers with one name, the one that was set last is there. */
function latest(containers: readonly Named[]): readonly Named[] {
  return containers.slice(-1);
}

function tenantKey({ tenant, domain }: Named): string {
  return `${tenant}.${domain}`;
}

function put(index: Map<string, Set<Named>>, key: string, container: Named): void {
  const there = index.get(key);
  if (there) there.add(container);
  else index.set(key, new Set([container]));
}

function take(index: Map<string, Set<Named>>, key: string, container: Named): void {
  const there = index.get(key);
  there?.delete(container);
  if (there?.size === 0) index.delete(key);
}
