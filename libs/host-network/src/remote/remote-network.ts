/**
 * How packets get to containers of other hosts: by a VXLAN tunnel, or by routes where the hosts share a link. What is
 * in the kernel follows from the containers that are known; each call changes what differs, and no more.
 */
import { constants } from 'node:os';
import { canonicalAddress, familyOf } from '../address.js';
import { linkNamed, removeLink } from '../container-link.js';
import { hasIpv6, usesIpv6 } from '../kernel-settings.js';
import type { Message } from '../netlink/message.js';
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.js';
import { configureLink, getLink, listLinks, listRoutes, setLinkUp } from '../netlink/route-messages.js';
import {
  addEntry,
  addRemoteRoute,
  entryName,
  type FoundRemoteRoute,
  type FoundTunnel,
  listAddresses,
  listEntries,
  makeTunnel,
  readAddress,
  readEntry,
  readMtu,
  readRemoteRoute,
  readTunnel,
  removeEntry,
  removeRemoteRoute,
  type TunnelEntry,
  type TunnelLink,
  tunnelMake,
} from '../netlink/tunnel-messages.js';
import type { Change } from '../nft/elements.js';
import {
  hostElement,
  hostKeys,
  type RemoteChange,
  type RemoteContainer,
  RemoteContainers,
  type RemoteRoute,
  routeName,
  routesTo,
} from './remote-containers.js';
import type { RemoteRules } from '../nft/ruleset.js';

export const TUNNEL_INTERFACE = 'plt0';
/** The same on all hosts; arbitrary. */
const TUNNEL_ID = 28_780;
/** Changes that are sent before their confirmations are read: more would not fit into the socket's buffer. */
const AT_ONCE = 64;
/** Above that of routes to containers on this host: those win, without a comparison. */
const LEAST_METRIC = 2_000;
const OVERHEAD = { 4: 50, 6: 70 } as const;
/** What IPv6 needs. */
const LEAST_MTU = 1_280;
const MOST_MTU = 9_000;

export interface TunnelOptions {
  readonly mode: 'vxlan' | 'routes';
  /** Where other hosts reach this one. */
  readonly address: string;
  /** UDP, of the tunnel. */
  readonly port: number;
}

export class RemoteNetwork {
  private readonly known: RemoteContainers;
  private readonly metric: number;
  private readonly alias: string;
  /** Of the tunnel's interface; absent: nothing is in the kernel. */
  private index: number | undefined;
  private active = false;
  /** null: no interface has this host's address. */
  private knownMtu: number | null | undefined;

  constructor(
    private readonly route: NetlinkSocket,
    private readonly options: TunnelOptions & {
      readonly instance: string;
      readonly pool4: string;
      readonly pool6: string;
    },
  ) {
    const { address, pool4, pool6, mode, instance } = options;
    this.known = new RemoteContainers({ address, pool4, pool6, tenantByAddress: mode === 'routes' });
    this.metric = metricOf(instance);
    this.alias = aliasOf(instance);
  }

  get size(): number {
    return this.known.size;
  }

  /** Whether it is in the kernel. */
  get isActive(): boolean {
    return this.active;
  }

  /** Whether something is to be in the kernel, and nothing is. */
  get isWanting(): boolean {
    return !this.active && this.known.size > 0;
  }

  elements(): ReturnType<RemoteContainers['elements']> {
    return this.active ? this.known.elements() : [];
  }

  /** The largest packet that a container here can send to one elsewhere; undefined: its interface's own. */
  get mtu(): number | undefined {
    if (this.options.mode === 'routes') return undefined;
    if (this.knownMtu === undefined) this.readMtu();
    return this.knownMtu ?? undefined;
  }

  /**
   * @param changeRules is called between the two: nothing arrives for which there is no rule, and nothing is permitted
   * that leads nowhere
   */
  replace(part: string, containers: readonly RemoteContainer[], changeRules: (change: Change) => void): void {
    const change = this.known.replace(part, containers);
    if (this.active) this.apply(change, changeRules);
  }

  private apply({ add, remove, addHosts, removeHosts }: RemoteChange, changeRules: (change: Change) => void): void {
    const kept = new Set(add.flatMap((container) => this.routes(container)).map(({ to }) => to));
    const gone = remove.flatMap((container) => this.routes(container)).filter(({ to }) => !kept.has(to));
    this.send(
      gone.map((route) => removeRemoteRoute(route, this.routeOptions)),
      'remove routes to containers',
      'gone',
    );
    this.send(
      addHosts.flatMap((host) => this.entries(host)).map((entry) => addEntry(this.index ?? 0, entry)),
      'add hosts',
    );
    changeRules(this.rules({ add, remove, addHosts, removeHosts }));
    this.send(
      add.flatMap((container) => this.routes(container)).map((route) => addRemoteRoute(route, this.routeOptions)),
      'add routes to containers',
    );
    this.send(
      removeHosts.flatMap((host) => this.entries(host)).map((entry) => removeEntry(this.index ?? 0, entry)),
      'remove hosts',
      'gone',
    );
  }

  private rules({ add, remove, addHosts, removeHosts }: RemoteChange): Change {
    const added = [...addHosts.map(hostElement), ...add.flatMap((one) => this.known.elementsOf(one))];
    const removed = [...removeHosts.map(hostElement), ...remove.flatMap((one) => this.known.elementsOf(one))];
    const name = ({ set, key, value = '' }: (typeof added)[number]): string => `${set} ${key} ${value}`;
    const before = new Set(removed.map(name));
    const after = new Set(added.map(name));
    return {
      add: added.filter((element) => !before.has(name(element))),
      remove: removed.filter((element) => !after.has(name(element))),
    };
  }

  /**
   * Makes the kernel have exactly what is known, also after another process was killed in the middle of it; what is as
   * it should be is not touched. The rules are written by the caller.
   * @returns sentences for the log
   */
  settle(): string[] {
    const done: string[] = [];
    if (this.known.size === 0) {
      if (this.active) this.remove();
      return done;
    }
    const wasActive = this.active;
    const isTunnelled = this.options.mode === 'vxlan';
    // What an agent with another setting has left.
    if (!isTunnelled && foundTunnel(this.route)?.alias === this.alias) removeLink(this.route, TUNNEL_INTERFACE);
    const made = isTunnelled ? this.settleTunnel() : undefined;
    this.active = true;
    if (made !== undefined && wasActive) done.push(made);
    const entries = isTunnelled ? this.settleEntries() : 0;
    const routes = this.settleRoutes();
    if (wasActive && made === undefined && entries + routes > 0)
      done.push(`${entries} entries of hosts and ${routes} routes to containers of other hosts were put right`);
    return done;
  }

  /** Of this agent, also what one before it has left. */
  remove(): void {
    this.forget();
    removeRemote(this.route, this.options.instance);
  }

  /** Nothing is in the kernel any more. */
  forget(): void {
    this.active = false;
    this.index = undefined;
  }

  /** Whether the interface is gone, or another's. */
  get isBroken(): boolean {
    return this.active && this.options.mode === 'vxlan' && foundTunnel(this.route)?.index !== this.index;
  }

  private get routeOptions(): { readonly index: number | undefined; readonly metric: number } {
    return { index: this.index, metric: this.metric };
  }

  private routes(container: RemoteContainer): RemoteRoute[] {
    const routes = routesTo(container, this.options.mode === 'vxlan');
    return usesIpv6() ? routes : routes.filter(({ family }) => family === 4);
  }

  private entries(hostAddress: string): TunnelEntry[] {
    if (this.options.mode === 'routes') return [];
    const { hardwareAddress, gateway6 } = hostKeys(hostAddress);
    const entries: TunnelEntry[] = [{ hardwareAddress, hostAddress }];
    if (usesIpv6()) entries.push({ gateway: gateway6, hardwareAddress });
    if (familyOf(hostAddress) === 4) entries.push({ gateway: hostAddress, hardwareAddress });
    return entries;
  }

  private settleTunnel(): string | undefined {
    const { address, port } = this.options;
    this.readMtu();
    const mtu = this.knownMtu ?? undefined;
    if (mtu === undefined) throw new RemoteNetworkError(`no interface of this machine has the address ${address}`);
    const wanted: TunnelLink = {
      name: TUNNEL_INTERFACE,
      id: TUNNEL_ID,
      port,
      local: address,
      mtu,
      hardwareAddress: hostKeys(address).hardwareAddress,
      alias: this.alias,
    };
    const found = foundTunnel(this.route);
    if (found?.alias === this.alias && found.mtu === mtu && found.make === tunnelMake(wanted)) {
      this.index = found.index;
      this.route.ensure([setLinkUp(found.index)], `set up ${TUNNEL_INTERFACE}`);
      return undefined;
    }
    // One without an alias was being made when the agent was killed.
    if (found && found.alias !== undefined && found.alias !== this.alias)
      throw new RemoteNetworkError(
        `the interface ${TUNNEL_INTERFACE} belongs to another host agent of this machine (${found.alias}); ` +
          'one agent of a machine has the tunnel, set PLINTH_NETWORK_TUNNEL=off for the others',
      );
    if (found) removeLink(this.route, TUNNEL_INTERFACE);
    this.route.change(makeTunnel(wanted), `make the tunnel ${TUNNEL_INTERFACE} on UDP port ${port}`);
    this.index = linkNamed(this.route, TUNNEL_INTERFACE)?.index ?? 0;
    this.route.ensure([configureLink(this.index, this.alias), setLinkUp(this.index)], `set up ${TUNNEL_INTERFACE}`);
    return `the tunnel ${TUNNEL_INTERFACE} was gone or another, and is made again`;
  }

  private settleEntries(): number {
    const index = this.index ?? 0;
    const found = (['forwarding', 4, 6] as const).flatMap((kind) =>
      this.route
        .ask(listEntries(kind, index), 'list the hosts of the tunnel')
        .flatMap((received) => readEntry(received, index) ?? []),
    );
    const wanted = this.known.allHosts().flatMap((host) => this.entries(host));
    const { add, remove } = differenceBy(found, wanted, entryName);
    this.send(
      remove.map((entry) => removeEntry(index, entry)),
      'remove hosts',
      'gone',
    );
    this.send(
      add.map((entry) => addEntry(index, entry)),
      'add hosts',
    );
    return add.length + remove.length;
  }

  private settleRoutes(): number {
    const wanted = this.known.all().flatMap((container) => this.routes(container));
    // One that leads elsewhere is of an agent with another setting.
    const found = foundRoutes(this.route, this.metric).map((route) =>
      this.index === undefined || route.index === this.index ? route : { ...route, via: '' },
    );
    const { add, remove } = differenceBy<RemoteRoute>(found, wanted, routeName);
    const replaced = new Set(add.map(({ to }) => to));
    const gone = remove.filter(({ to }) => !replaced.has(to));
    this.send(
      gone.map((route) => removeRemoteRoute(route, { metric: this.metric })),
      'remove routes to containers',
      'gone',
    );
    this.send(
      add.map((route) => addRemoteRoute(route, this.routeOptions)),
      'add routes to containers',
    );
    return add.length + gone.length;
  }

  /** From the interface that has this host's address: what is left of a packet of its within the tunnel. */
  private readMtu(): void {
    const address = canonicalAddress(this.options.address);
    const index = this.route
      .ask(listAddresses(), 'list the addresses')
      .flatMap((received) => readAddress(received) ?? [])
      .find((found) => found.address === address)?.index;
    const link = this.route
      .ask(listLinks(), 'list the interfaces')
      .find(({ payload }) => index !== undefined && payload.readInt32LE(4) === index);
    const mtu = link && readMtu(link);
    // The loopback's is more than an interface may have.
    this.knownMtu =
      mtu === undefined ? null : Math.max(LEAST_MTU, Math.min(mtu, MOST_MTU) - OVERHEAD[familyOf(address)]);
  }

  private send(messages: readonly Message[], what: string, fine?: 'gone'): void {
    send(this.route, messages, what, fine);
  }
}

/** Takes everything away that an agent has for containers of other hosts. */
export function removeRemote(route: NetlinkSocket, instance: string): void {
  // Its routes end with it.
  if (foundTunnel(route)?.alias === aliasOf(instance)) removeLink(route, TUNNEL_INTERFACE);
  const metric = metricOf(instance);
  const routes = foundRoutes(route, metric).map((found) => removeRemoteRoute(found, { metric }));
  send(route, routes, 'remove routes to containers', 'gone');
}

const aliasOf = (instance: string): string => `plinth ${instance}`;
const metricOf = (instance: string): number => LEAST_METRIC + parseInt(instance.slice(0, 4), 16);

function foundTunnel(route: NetlinkSocket): FoundTunnel | undefined {
  try {
    return route.ask(getLink(TUNNEL_INTERFACE), `show ${TUNNEL_INTERFACE}`).map(readTunnel)[0];
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined;
    throw error;
  }
}

function foundRoutes(route: NetlinkSocket, metric: number): FoundRemoteRoute[] {
  const families = hasIpv6() ? ([4, 6] as const) : ([4] as const);
  return families.flatMap((family) =>
    route.ask(listRoutes(family), 'list the routes').flatMap((received) => readRemoteRoute(received, metric) ?? []),
  );
}

/** @param fine what is gone already counts as removed */
function send(route: NetlinkSocket, messages: readonly Message[], what: string, fine?: 'gone'): void {
  const { ESRCH, ENOENT } = constants.errno;
  for (let at = 0; at < messages.length; at += AT_ONCE)
    route.ensure(messages.slice(at, at + AT_ONCE), what, fine === 'gone' ? [ESRCH, ENOENT] : []);
}

/** The tunnel can't be had; its message says why. */
export class RemoteNetworkError extends Error {
  override readonly name = 'RemoteNetworkError';
}

function differenceBy<T>(
  found: readonly T[],
  wanted: readonly T[],
  name: (item: T) => string,
): { readonly add: readonly T[]; readonly remove: readonly T[] } {
  const before = new Set(found.map(name));
  const after = new Set(wanted.map(name));
  return {
    add: wanted.filter((item) => !before.has(name(item))),
    remove: found.filter((item) => !after.has(name(item))),
  };
}

/** What the table of rules has to know of the way to other hosts. */
export function rulesFor({ mode, port }: TunnelOptions): RemoteRules {
  return mode === 'vxlan' ? { mode, interface: TUNNEL_INTERFACE, port } : { mode };
}
