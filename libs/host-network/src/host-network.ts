/**
 * The network of one agent's containers on this host. What the kernel holds is derived from the containers that run:
 * nothing is stored, and an agent that was killed at any point finds its way by {@link HostNetwork.takeOver}. Every call
 * is synchronous and takes a millisecond or less, but for those that say so.
 */
import { discardContainerEnd, linkNamed, makeContainerLink, removeLink, setUpHostEnd } from './container-link.js';
import {
  type ContainerNetwork,
  type Egress,
  firstNumber,
  interfaceName,
  isSameNetwork,
  portsOnlyIn,
  type NetworkNames,
  networkNames,
} from './container-network.js';
import { limitBothEnds, mendHostEnds, sameBandwidth } from './link-rates.js';
import { networkOfProcess } from './network-namespace.js';
import { clearHost, prepareHost } from './host-addresses.js';
import { KeptRules } from './kept-rules.js';
import { KeptRemote } from './remote/kept-remote.js';
import { PreparedLinks } from './prepared-links.js';
import { elementConflict, portConflict } from './conflicts.js';
import { isRefusal } from './refusal.js';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink/netlink-socket.js';
import type { LinkCounters } from './netlink/route-messages.js';
import { AttachedContainers } from './attached-containers.js';
import { OwnInterfaces } from './own-interfaces.js';
import {
  type Attached,
  inNamespace,
  type Repairs,
  type RunningNetwork,
  type StartingNetwork,
} from './placed-containers.js';
import type { AttachedNetwork, Element } from './nft/elements.js';
import { Nftables } from './nft/nftables.js';
import { type DropCounts, RuleTable } from './nft/rule-table.js';
import { TenantPolicies } from './nft/tenant-policies.js';
import type { RemoteContainer } from './remote/remote-containers.js';
import { TrackedConnections } from './tracked-connections.js';
import { RemoteNetwork, removeRemote, rulesFor, type TunnelOptions } from './remote/remote-network.js';

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

/** Comparing all elements takes time of this thread when there are many. */
const COMPARE_EVERY_MS = 30_000;

export class HostNetwork {
  private readonly attached = new AttachedContainers();
  private readonly interfaces: OwnInterfaces;
  private readonly prepared: PreparedLinks;
  private readonly rules: KeptRules;
  private readonly others: KeptRemote;
  private readonly policies = new TenantPolicies();
  private number: number;
  private comparedAtMs = 0;
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
    this.prepared = new PreparedLinks(route);
    this.rules = new KeptRules(table, () => this.elements());
    this.others = new KeptRemote(remote, this.rules);
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
      const name = this.interfaces.nameOf(container, interfaces.get(container.containerId));
      if (name === undefined) lost.push(container);
      else this.attached.set({ ...container, interface: name });
    }
    const done: string[] = [];
    const failed: string[] = [];
    if (this.attached.size > 0) {
      done.push(...prepareHost(this.route), ...this.others.settle(failed));
      this.rules.write();
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
    return portConflict(this.nft, this.table, container, this.attached.get(container.containerId));
  }

  /** Gives a container its interface, after its rules. Also when it has one: then a new one, for a new run. */
  attach(starting: StartingNetwork | RunningNetwork): Attached {
    const { namespace, ...container } = 'pid' in starting ? inNamespace(starting) : starting;
    this.removeRules(container.containerId);
    const wanted = { ...container, interface: this.newName() };
    const taken = elementConflict(this.attached, wanted);
    if (taken !== undefined) return taken;
    try {
      const prepared = this.prepared.take(namespace, this.remote?.mtu);
      const attached = { ...wanted, ...(prepared && { interface: prepared.interface }) };
      if (!this.rules.isWritten) {
        prepareHost(this.route);
        // What fails is tried again, and reported, by the next comparison.
        this.others.settle([]);
      }
      this.rules.change({ add: this.attached.set(attached), remove: [] });
      this.tracked.forgetEarlier(attached, attached.ports);
      if (prepared === undefined || !this.prepared.finish(prepared, attached, namespace))
        makeContainerLink(this.route, attached, namespace, this.remote?.mtu);
      if (attached.bandwidth) this.limit(attached, namespace);
      return { ok: true };
    } catch (error) {
      this.removeRules(container.containerId);
      if (!isRefusal(error)) throw error;
      return { ok: false, reason: 'network-failed', message: error.message };
    }
  }

  /**
   * Makes what a container to come needs in its network, as far as it depends on no container. Nothing while the host
   * has no rules; what is refused is made, and its refusal reported, by {@link attach}.
   * @param namespace path of a network that no process is in
   */
  prepare(namespace: string): void {
    if (!this.rules.isWritten) return;
    try {
      this.prepared.prepare(this.newName(), namespace, this.remote?.mtu);
    } catch (error) {
      if (!isRefusal(error)) throw error;
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
    const taken = elementConflict(this.attached, changed);
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
    if (this.rules.isWritten) this.rules.change({ add: [], remove });
    return known;
  }

  /**
   * What all containers of a tenant may reach, beside their own policies; open connections go on.
   * @param policy undefined: everything
   * @throws NftError when the rules could not be changed; they are with the next one that can
   */
  setTenantPolicy(tenant: number, policy: Egress | undefined): void {
    const change = this.policies.set(tenant, policy);
    if (this.rules.isWritten) this.rules.change(change);
  }

  /**
   * Replaces what is known of a part of the containers of other hosts; what differs is changed in the kernel, while
   * this host has containers itself.
   */
  setRemote(part: string, containers: readonly RemoteContainer[]): void {
    try {
      this.others.replace(part, containers);
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
      if (this.rules.isWritten) this.clear();
      return { done: [], failed: refused };
    }
    const done: string[] = [];
    const failed = refused;
    if (this.attached.size > 0)
      done.push(...prepareHost(this.route), ...this.rules.mend(nowMs - this.comparedAtMs >= COMPARE_EVERY_MS));
    const isDue = nowMs - this.comparedAtMs >= COMPARE_EVERY_MS;
    if (this.attached.size > 0) done.push(...this.others.mend(isDue, failed));
    if (isDue) {
      this.comparedAtMs = nowMs;
      const interfaces = this.interfaces.byContainer();
      const mended = mendHostEnds(this.route, this.attached.all(), this.interfaces.indexes());
      done.push(...mended.map((id) => `the limit of what container ${id} receives was changed, and is set again`));
      for (const { containerId, interface: name } of this.attached.all()) {
        const container = wanted.get(containerId);
        const isThere = interfaces.get(containerId)?.some((link) => link.name === name);
        if (container && isThere !== true) isLost(container);
      }
    }
    return this.attachLost(lost, done, failed);
  }

  /** Writes the rules again if they are gone: without them tenants reach each other. Costs microseconds otherwise. */
  guardRules(): Repairs {
    return { done: this.attached.size > 0 && this.rules.areGone ? this.rules.mend(false) : [], failed: [] };
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
    return this.interfaces.all().some(({ alias }) => alias !== undefined);
  }

  /** Takes everything of this agent away, also what one before it has left. Takes some 10 ms for each interface. */
  removeAll(): void {
    this.attached.clear();
    for (const { name } of this.interfaces.all()) removeLink(this.route, name);
    this.clear();
  }

  close(): void {
    this.prepared.clear();
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

  private newName(): string {
    this.number += 1;
    return interfaceName(this.names, this.number);
  }

  private replace(network: AttachedNetwork): void {
    const remove = this.attached.delete(network.containerId);
    this.rules.change({ add: this.attached.set(network), remove });
  }

  /** Of this host's containers and their tenants, and of other hosts' containers. */
  private elements(): Element[] {
    return [...this.attached.elements(), ...this.policies.elements(), ...(this.remote?.elements() ?? [])];
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

  /** Rules, and what several agents of a machine share once no container needs it. */
  private clear(): void {
    this.table.remove();
    removeRemote(this.route, this.instance);
    this.remote?.forget();
    this.prepared.clear();
    clearHost(this.route);
  }
}
