/** The names that this agent knows: those of its own containers, and those that the provisioner publishes. Pure. */
import type { ContainerConfig } from '@plinth/contracts';

export interface NamedContainer {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** It runs on this host, so it asks the resolver here. */
  readonly local: boolean;
  /** Whether names of others are looked up for it. */
  readonly forwards: boolean;
}

export type NameChange =
  | { readonly kind: 'set'; readonly container: NamedContainer }
  | { readonly kind: 'gone'; readonly id: string };

/** undefined: it has no network of its own, so it has no name. */
export function namedContainer(config: ContainerConfig): NamedContainer | undefined {
  const { containerId: id, name, tenant, network, address, tenantNumber, egress } = config;
  if (network !== 'container' || address === undefined || tenantNumber === undefined) return undefined;
  const { ipv4, ipv6 } = address;
  // A query to the outside carries data there as any packet does.
  return { id, name, tenant, ipv4, ipv6, local: true, forwards: egress?.policy !== 'none' };
}

/** One container of a tenant, wherever it runs. */
export interface Neighbour {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly running: boolean;
}

export class NamedContainers {
  private readonly own = new Map<string, NamedContainer>();
  private readonly others = new Map<string, NamedContainer>();
  private readonly groups = new Map<string, readonly string[]>();
  /** Tenants whose containers may reach nothing outside. */
  private readonly closed = new Set<string>();

  /** @param host of this agent: what it knows of its own containers is newer than what it is sent about them */
  constructor(private readonly host: string) {}

  all(): NamedContainer[] {
    return [...this.others.values()]
      .filter(({ id }) => !this.own.has(id))
      .concat([...this.own.values()].map((container) => this.present(container)));
  }

  get size(): number {
    return this.all().length;
  }

  /** Whether containers of this host have names. */
  get hasOwn(): boolean {
    return this.own.size > 0;
  }

  set(container: NamedContainer): NameChange[] {
    if (isSame(this.own.get(container.id), container)) return [];
    this.own.set(container.id, container);
    return [{ kind: 'set', container: this.present(container) }];
  }

  /** For no container of a closed tenant names of others are looked up. */
  setClosed(tenant: string, isClosed: boolean): NameChange[] {
    if (this.closed.has(tenant) === isClosed) return [];
    if (isClosed) this.closed.add(tenant);
    else this.closed.delete(tenant);
    return [...this.own.values()]
      .filter((container) => container.tenant === tenant && container.forwards)
      .map((container) => ({ kind: 'set', container: this.present(container) }));
  }

  gone(id: string): NameChange[] {
    if (!this.own.delete(id)) return [];
    const other = this.others.get(id);
    return [other ? { kind: 'set', container: other } : { kind: 'gone', id }];
  }

  /** All own containers. */
  setAll(containers: readonly NamedContainer[]): NameChange[] {
    const wanted = new Set(containers.map(({ id }) => id));
    const ended = [...this.own.keys()].filter((id) => !wanted.has(id));
    return [...ended.flatMap((id) => this.gone(id)), ...containers.flatMap((container) => this.set(container))];
  }

  /**
   * A group of a tenant's containers, as the provisioner has written it last.
   * @param containers empty: the group is gone
   */
  setNeighbours(group: string, tenant: string, containers: readonly Neighbour[]): NameChange[] {
    const named = containers
      .filter(({ host, running }) => running && host !== this.host)
      .map(({ id, name, ipv4, ipv6 }) => ({ id, name, tenant, ipv4, ipv6, local: false, forwards: false }));
    const wanted = new Set(named.map(({ id }) => id));
    const changes: NameChange[] = [];
    for (const id of this.groups.get(group) ?? []) {
      if (wanted.has(id)) continue;
      this.others.delete(id);
      if (!this.own.has(id)) changes.push({ kind: 'gone', id });
    }
    if (named.length > 0) this.groups.set(group, [...wanted]);
    else this.groups.delete(group);
    for (const container of named) {
      if (isSame(this.others.get(container.id), container)) continue;
      this.others.set(container.id, container);
      if (!this.own.has(container.id)) changes.push({ kind: 'set', container });
    }
    return changes;
  }

  private present(container: NamedContainer): NamedContainer {
    return { ...container, forwards: container.forwards && !this.closed.has(container.tenant) };
  }
}

function isSame(one: NamedContainer | undefined, other: NamedContainer): boolean {
  return (
    one !== undefined &&
    one.name === other.name &&
    one.tenant === other.tenant &&
    one.ipv4 === other.ipv4 &&
    one.ipv6 === other.ipv6 &&
    one.local === other.local &&
    one.forwards === other.forwards
  );
}
