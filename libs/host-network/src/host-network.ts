/**
 * The network of one agent's containers on this host. What the kernel holds is derived from the containers that run:
 * nothing is stored, and an agent that was killed at any point finds its way by {@link HostNetwork.takeOver}. Every call
 * is synchronous and takes a millisecond or less, but for those that say so.
 */
import {
  discardContainerEnd,
  linkNamed,
  linksWith,
  makeContainerLink,
  removeLink,
  setUpHostEnd,
} from './container-link.js';
import {
  ANY_PREFIX,
  type ContainerNetwork,
  type Egress,
  firstNumber,
  GATEWAY4,
  interfaceName,
  isSameNetwork,
  portsOnlyIn,
  RESOLVER6,
  type NetworkNames,
  networkNames,
} from './container-network.js';
import { limitBothEnds, mendHostEnds, sameBandwidth } from './link-rates.js';
import { networkOfProcess } from './network-namespace.js';
import { enableForwarding, hasIpv6, lookAtIpv6 } from './kernel-settings.js';
import { listeningSockets, portInUse } from './listening-ports.js';
import { isRefusal } from './refusal.js';
import { NETLINK_ROUTE, NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';
import { addAddress, type LinkCounters, removeAddress } from './netlink/route-messages.js';
import { AttachedContainers } from './attached-containers.js';
import { OwnInterfaces } from './own-interfaces.js';
import {
  type Attached,
  inNamespace,
  type Repairs,
  type RunningNetwork,
  type StartingNetwork,
} from './placed-containers.js';
import type { AttachedNetwork, Change, Element } from './nft/elements.js';
import { NftError, Nftables } from './nft/nftables.js';
import { publishedElsewhere } from './nft/other-agents.js';
import { type DropCounts, RuleTable } from './nft/rule-table.js';
import type { RemoteRules } from './nft/ruleset.js';
import { TenantPolicies } from './nft/tenant-policies.js';
import type { RemoteContainer } from './remote/remote-containers.js';
import { TrackedConnections } from './tracked-connections.js';
import { RemoteNetwork, removeRemote, TUNNEL_INTERFACE, type TunnelOptions } from './remote/remote-network.js';

export interface HostNetworkOptions {
  /** Distinguishes the agents of one machine; hexadecimal digits. */
  readonly instance: string;
  /** Networks of all containers' addresses, of every host. */
  readonly pool4: string;
  readonly pool6: string;
  readonly nowMs: number;
  /** How containers of other hosts are reached; absent: they are not. */
  readonly remote?: TunnelOptions | undefined;
}

const LOOPBACK = 1;
/** Comparing all elements takes time of this thread when there are many. */
const COMPARE_EVERY_MS = 30_000;

export class HostNetwork {
  private readonly attached = new AttachedContainers();
  private readonly interfaces: OwnInterfaces;
  private readonly policies = new TenantPolicies();
  private number: number;
  private comparedAtMs = 0;
  /** The kernel refused what containers of other hosts need, at the last attempt. */
  private isRemoteRefused = false;
  private readonly tracked = new TrackedConnections();
  /** Failures between two checks. */
  private readonly unreported: string[] = [];

  private constructor(
    private readonly instance: string,
    private readonly names: NetworkNames,
    private readonly route: NetlinkSocket,
    private readonly table: RuleTable,
    private readonly nft: Nftables,
    private readonly remote: RemoteNetwork | undefined,
    nowMs: number,
  ) {
    this.number = firstNumber(nowMs);
    this.interfaces = new OwnInterfaces(route, names.prefix);
  }

  /** Changes nothing. @returns why not, when this machine can't have it */
  static open({ instance, pool4, pool6, nowMs, remote }: HostNetworkOptions): HostNetwork | string {
    const nft = Nftables.open();
    if (typeof nft === 'string') return nft;
    const names = networkNames(instance);
    const table = new RuleTable(nft, { ...names, pool4, pool6, remote: remote && rulesFor(remote) });
    const route = new NetlinkSocket(NETLINK_ROUTE);
    const others = remote && new RemoteNetwork(route, { ...remote, instance, pool4, pool6 });
    return new HostNetwork(instance, names, route, table, nft, others, nowMs);
  }

  get size(): number {
    return this.attached.size;
  }

  /** Takes the containers that an agent before this one has left running; their connections go on. */
  takeOver(running: readonly RunningNetwork[]): Repairs {
    const interfaces = this.interfaces.byContainer();
    const lost: RunningNetwork[] = [];
    for (const container of running) {
      const name = interfaces.get(container.containerId);
      if (name === undefined) lost.push(container);
      else this.attached.set({ ...container, interface: name });
    }
    const done: string[] = [];
    const failed: string[] = [];
    if (this.attached.size > 0) {
      done.push(...this.prepareHost(), ...this.settleRemote(failed));
      this.table.write(this.elements());
      for (const container of this.attached.all()) setUpHostEnd(this.route, container);
      for (const { containerId, pid, bandwidth } of running) {
        const link = this.attached.get(containerId);
        if (link && bandwidth) limitBothEnds(this.route, link, networkOfProcess(pid));
      }
    } else if (lost.length === 0) this.clear();
    // What an agent with another setting has left.
    if (this.remote === undefined) removeRemote(this.route, this.instance);
    return this.attachLost(lost, done, failed);
  }

  /** Why a port that the container does not have yet can't be published here; undefined: it can. */
  portProblem(container: ContainerNetwork): string | undefined {
    const known = this.attached.get(container.containerId);
    const ports = known ? portsOnlyIn(container, known) : container.ports;
    if (ports.length === 0) return undefined;
    const port = portInUse(ports, listeningSockets(ports));
    if (port !== undefined)
      return (
        `a program of this host listens on port ${port.hostPort}/${port.protocol}, and would not be reached any more; ` +
        'publish another host port, or end that program'
      );
    const taken = publishedElsewhere(this.nft, this.table.otherAgents(), { ...container, ports });
    return (
      taken &&
      `port ${taken.hostPort}/${taken.protocol} is published by a container of another host agent on this machine; ` +
        'publish another host port'
    );
  }

  /** Gives a container its interface, after its rules. Also when it has one: then a new one, for a new run. */
  attach(starting: StartingNetwork | RunningNetwork): Attached {
    const { namespace, ...container } = 'pid' in starting ? inNamespace(starting) : starting;
    this.removeRules(container.containerId);
    this.number += 1;
    const attached = { ...container, interface: interfaceName(this.names, this.number) };
    const taken = this.takenBy(attached);
    if (taken !== undefined) return taken;
    try {
      if (!this.table.isWritten) {
        this.prepareHost();
        // What fails is tried again, and reported, by the next comparison.
        this.settleRemote([]);
      }
      this.changeTable({ add: this.attached.set(attached), remove: [] });
      this.tracked.forgetEarlier(attached, attached.ports);
      makeContainerLink(this.route, attached, namespace, this.remote?.mtu);
      if (attached.bandwidth) this.limit(attached, namespace);
      return { ok: true };
    } catch (error) {
      this.removeRules(container.containerId);
      if (!isRefusal(error)) throw error;
      return { ok: false, reason: 'network-failed', message: error.message };
    }
  }

  /** Whether its interface, with these addresses, is there; it need not run. */
  isWhole({ containerId, ipv4, ipv6, tenant }: ContainerNetwork): boolean {
    const known = this.attached.get(containerId);
    if (known === undefined || known.ipv4 !== ipv4 || known.ipv6 !== ipv6 || known.tenant !== tenant) return false;
    return linkNamed(this.route, known.interface) !== undefined;
  }

  /**
   * Rules and limits of a container that runs, or starts again in its network, become those of its changed config; its
   * connections go on.
   */
  change(running: StartingNetwork | RunningNetwork): Attached {
    const { namespace, ...container } = 'pid' in running ? inNamespace(running) : running;
    const known = this.attached.get(container.containerId);
    if (known === undefined)
      return { ok: false, reason: 'network-failed', message: 'it has no interface at the moment' };
    const changed = { ...container, interface: known.interface };
    const taken = this.takenBy(changed);
    if (taken !== undefined) return taken;
    try {
      const isSame = isSameNetwork(known, changed) && sameBandwidth(known.bandwidth, changed.bandwidth);
      // Both ends of a run that starts again are as its last run left them.
      if (isSame && !('pid' in running)) return { ok: true };
      if (!isSame) this.replace(changed);
      this.tracked.forgetPorts(changed, portsOnlyIn(known, changed));
      this.tracked.forgetEarlier(changed, portsOnlyIn(changed, known));
      // Its own end may not have been changed by an attempt before this one.
      limitBothEnds(this.route, changed, namespace);
      return { ok: true };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { ok: false, reason: 'network-failed', message: error.message };
    }
  }

  /**
   * Its interface ends with its network namespace, and its routes with that. Its rules end at once, and its tracked
   * connections before this resolves: then another may have its address.
   * @param was where an agent before this one may have attached it
   */
  async detach(containerId: string, was?: Pick<ContainerNetwork, 'ipv4' | 'ipv6'>): Promise<void> {
    const known = this.removeRules(containerId) ?? was;
    if (known) await this.tracked.forget(known);
  }

  private detachLater(containerId: string): void {
    this.detach(containerId).catch((error: unknown) => {
      this.unreported.push(`connections of container ${containerId} may not have ended: ${String(error)}`);
    });
  }

  private removeRules(containerId: string): AttachedNetwork | undefined {
    const known = this.attached.get(containerId);
    const remove = this.attached.delete(containerId);
    if (this.table.isWritten) this.changeTable({ add: [], remove });
    return known;
  }

  /**
   * What all containers of a tenant may reach, beside their own policies; open connections go on.
   * @param policy undefined: everything
   * @throws NftError when the rules could not be changed; they are with the next one that can
   */
  setTenantPolicy(tenant: number, policy: Egress | undefined): void {
    const change = this.policies.set(tenant, policy);
    if (this.table.isWritten) this.changeTable(change);
  }

  /**
   * Replaces what is known of a part of the containers of other hosts; what differs is changed in the kernel, while
   * this host has containers itself.
   */
  setRemote(part: string, containers: readonly RemoteContainer[]): void {
    try {
      this.remote?.replace(part, containers, (change) => this.changeTable(change));
      // The first container of another host.
      if (this.table.isWritten && this.remote?.isWanting === true && !this.isRemoteRefused) {
        this.settleRemote([]);
        this.table.write(this.elements());
      }
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // The next comparison tries it again, and reports it.
      this.comparedAtMs = 0;
    }
  }

  /**
   * Compares everything with the containers that run or are being started, and mends it. When there are none, nothing
   * is left on the host.
   * @param pidOf a process in the network of a container that runs; undefined: it is being started, or has just ended
   */
  check(
    running: readonly ContainerNetwork[],
    pidOf: (containerId: string) => number | undefined,
    nowMs: number,
  ): Repairs {
    const refused = this.unreported.splice(0);
    const wanted = new Map(running.map((container) => [container.containerId, container]));
    for (const { containerId } of this.attached.all()) if (!wanted.has(containerId)) this.detachLater(containerId);
    const lost: RunningNetwork[] = [];
    const isLost = (container: ContainerNetwork): void => {
      const pid = pidOf(container.containerId);
      if (pid !== undefined) lost.push({ ...container, pid });
    };
    for (const container of wanted.values()) {
      const known = this.attached.get(container.containerId);
      if (known === undefined) isLost(container);
      // Its config has changed.
      else if (!isSameNetwork(known, container) || !sameBandwidth(known.bandwidth, container.bandwidth)) {
        const pid = pidOf(container.containerId);
        const result = pid === undefined ? undefined : this.change({ ...container, pid });
        if (result?.ok === false)
          refused.push(`container ${container.containerId} is not as its config: ${result.message}`);
      }
    }
    if (this.attached.size === 0 && lost.length === 0) {
      if (this.table.isWritten) this.clear();
      return { done: [], failed: refused };
    }
    const done: string[] = [];
    const failed = refused;
    if (this.attached.size > 0) done.push(...this.prepareHost(), ...this.mendTable(nowMs));
    const isDue = nowMs - this.comparedAtMs >= COMPARE_EVERY_MS;
    if (this.attached.size > 0) done.push(...this.mendRemote(isDue, failed));
    if (isDue) {
      this.comparedAtMs = nowMs;
      const interfaces = this.interfaces.byContainer();
      const mended = mendHostEnds(this.route, this.attached.all(), this.interfaces.indexes());
      done.push(...mended.map((id) => `the limit of what container ${id} receives was changed, and is set again`));
      for (const { containerId, interface: name } of this.attached.all()) {
        const container = wanted.get(containerId);
        if (container && interfaces.get(containerId) !== name) isLost(container);
      }
    }
    return this.attachLost(lost, done, failed);
  }

  /** Writes the rules again if they are gone: without them tenants reach each other. Costs microseconds otherwise. */
  guardRules(): Repairs {
    const gone = this.attached.size > 0 && this.table.isWritten && this.table.isGone;
    return { done: gone ? this.mendTable(this.comparedAtMs) : [], failed: [] };
  }

  /** Of its interface, as the container counts; undefined: it has none. */
  counters(): ReadonlyMap<string, LinkCounters> {
    return this.interfaces.counters(this.attached.all());
  }

  drops(): DropCounts {
    return this.table.drops();
  }

  /** Whether interfaces of containers are there, also of those that have just ended. */
  get hasInterfaces(): boolean {
    return this.interfaces.all().length > 0;
  }

  /** Takes everything of this agent away, also what one before it has left. Takes some 10 ms for each interface. */
  removeAll(): void {
    this.attached.clear();
    for (const { name } of this.interfaces.all()) removeLink(this.route, name);
    this.clear();
  }

  close(): void {
    this.route.close();
    this.tracked.close();
    this.table.close();
    this.nft.close();
  }

  /** It is not let go without its limits. */
  private limit(link: AttachedNetwork, namespace: string): void {
    try {
      limitBothEnds(this.route, link, namespace);
    } catch (error) {
      removeLink(this.route, link.interface);
      throw error;
    }
  }

  private takenBy(network: AttachedNetwork): Extract<Attached, { ok: false }> | undefined {
    const taken = this.attached.takenBy(network);
    if (taken === undefined) return undefined;
    const { key, set } = taken.element;
    const reason = /^(?:ports|bound)/.test(set) ? 'port-taken' : 'network-failed';
    return { ok: false, reason, message: `${key} belongs to container ${taken.containerId} on this host` };
  }

  private replace(network: AttachedNetwork): void {
    const remove = this.attached.delete(network.containerId);
    this.changeTable({ add: this.attached.set(network), remove });
  }

  private changeTable(change: Change): void {
    if (this.table.isWritten) {
      try {
        this.table.change(change);
        return;
      } catch (error) {
        // Another program has changed it: the whole table is written below.
        if (!(error instanceof NftError)) throw error;
      }
    }
    this.table.write(this.elements());
  }

  private mendTable(nowMs: number): string[] {
    if (this.table.isGone) {
      this.table.write(this.elements());
      return ['the table of rules was gone, and is written again'];
    }
    if (!this.table.isSuspect || nowMs - this.comparedAtMs < COMPARE_EVERY_MS) return [];
    if (this.table.matches()) return [];
    this.table.write(this.elements());
    return ['the table of rules was changed by another program, and is written again'];
  }

  /** Of this host's containers and their tenants, and of other hosts' containers. */
  private elements(): Element[] {
    return [...this.attached.elements(), ...this.policies.elements(), ...(this.remote?.elements() ?? [])];
  }

  /** @param failed gets what could not be had: containers of this host have their network without it */
  private settleRemote(failed: string[]): string[] {
    this.isRemoteRefused = false;
    try {
      return this.remote?.settle() ?? [];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.isRemoteRefused = true;
      failed.push(`containers of other hosts are not reached: ${error.message}`);
      return [];
    }
  }

  private mendRemote(isDue: boolean, failed: string[]): string[] {
    const { remote } = this;
    if (remote === undefined || !(isDue || remote.isBroken || remote.isWanting)) return [];
    const was = remote.isActive;
    const done = this.settleRemote(failed);
    if (remote.isActive !== was) this.table.write(this.elements());
    return done;
  }

  private attachLost(lost: readonly RunningNetwork[], done: string[], failed: string[]): Repairs {
    for (const container of lost) {
      const result = this.attachAgain(container);
      if (result.ok) done.push(`container ${container.containerId} had no interface, and has one again`);
      else failed.push(`container ${container.containerId} has no interface: ${result.message}`);
    }
    return { done, failed };
  }

  private attachAgain(container: RunningNetwork): Attached {
    try {
      discardContainerEnd(networkOfProcess(container.pid));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { ok: false, reason: 'network-failed', message: error.message };
    }
    return this.attach(container);
  }

  /** @returns what was changed */
  private prepareHost(): string[] {
    const ipv6 = lookAtIpv6();
    const changed = enableForwarding();
    // Of the link's scope, so that it is the source of nothing that the host sends elsewhere.
    // Before that of IPv4, for which the resolver waits.
    if (ipv6) this.route.ensure([addAddress(LOOPBACK, RESOLVER6, 'link')], `give ${RESOLVER6} to lo`);
    this.route.ensure([addAddress(LOOPBACK, GATEWAY4, 'link')], `give ${GATEWAY4} to lo`);
    return changed;
  }

  /** Rules, and what several agents of a machine share once no container needs it. */
  private clear(): void {
    this.table.remove();
    removeRemote(this.route, this.instance);
    this.remote?.forget();
    if (linksWith(this.route, ANY_PREFIX).length > 0) return;
    for (const address of [GATEWAY4, ...(hasIpv6() ? [RESOLVER6] : [])])
      try {
        this.route.change(removeAddress(LOOPBACK, address), `take ${address} from lo`);
      } catch (error) {
        if (!(error instanceof NetlinkError && error.code === 'EADDRNOTAVAIL')) throw error;
      }
  }
}

function rulesFor({ mode, port }: TunnelOptions): RemoteRules {
  return mode === 'vxlan' ? { mode, interface: TUNNEL_INTERFACE, port } : { mode };
}
