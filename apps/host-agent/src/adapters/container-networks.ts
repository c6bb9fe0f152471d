/** Interfaces, addresses and rules of this host's containers, in terms of their configs. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerConfig, EgressPolicy, Neighbour, TenantEgress, TenantNeighbours } from '@plinth/contracts';
import {
  bandwidthProblem,
  type DropCounts,
  GATEWAY4,
  HostNetwork,
  type HostNetworkOptions,
  type LinkCounters,
  tunnelProblem,
  networkProblem,
  type Repairs,
  usesIpv6,
} from '@plinth/host-network';
import { containerName, type ResolverStatus } from '@plinth/names';
import type { Logger } from '@plinth/service-kit';
import { networkOf, networkRefusal } from '../domain/requested-network.js';
import type { StartFailure } from '../domain/start-failure.js';
import type { ContainerNames } from './container-names.js';
import type { Attachment, ChangeFailure, Networks, RunningContainer } from './networks.js';

const INTERFACES_PATIENCE_MS = 2_000;

export type NetworkOptions = Omit<HostNetworkOptions, 'nowMs'>;

export class ContainerNetworks implements Networks {
  readonly cniNetwork = undefined;
  readonly canBeKept = true;

  private constructor(
    private readonly options: NetworkOptions,
    /** Absent: the machine can't give one, or it is closed. */
    private network: HostNetwork | undefined,
    private readonly names: ContainerNames,
    /** Why containers here have no network of their own; undefined: they can. */
    readonly problem: string | undefined,
    readonly bandwidthProblem: string | undefined,
    private readonly logger: Logger,
  ) {}

  /** Tries what it needs; changes nothing. */
  static open(options: NetworkOptions, names: ContainerNames, logger: Logger): ContainerNetworks {
    options = withoutImpossibleTunnel(options, logger);
    const network = HostNetwork.open({ ...options, nowMs: Date.now() });
    const problem = typeof network === 'string' ? network : networkProblem();
    if (problem === undefined && typeof network !== 'string') {
      const slow = bandwidthProblem();
      if (slow !== undefined)
        logger.warn({ problem: slow }, 'containers with a bandwidth do not start: the machine can not hold them to it');
      return new ContainerNetworks(options, network, names, undefined, slow, logger);
    }
    if (typeof network !== 'string') network.close();
    logger.warn({ problem }, 'containers on this host have no network of their own: the machine can not give them one');
    return new ContainerNetworks(options, undefined, names, problem, undefined, logger);
  }

  /** Where other hosts reach the containers of this one; undefined: they do not. */
  get address(): string | undefined {
    return this.problem === undefined ? this.options.remote?.address : undefined;
  }

  /** Replaces what is known of a part of a tenant's containers on other hosts. */
  setNeighbours(
    part: string,
    { tenant, tenantNumber }: Pick<TenantNeighbours, 'tenant' | 'tenantNumber'>,
    containers: readonly Neighbour[],
  ): void {
    const reached = containers.flatMap(({ ipv4, ipv6, hostAddress }) =>
      hostAddress === undefined ? [] : [{ ipv4, ipv6, tenant: tenantNumber, hostAddress }],
    );
    this.network?.setRemote(part, reached);
    this.names.setNeighbours(part, tenant, containers);
  }

  setTenantPolicy(
    { tenant, tenantNumber }: Pick<TenantEgress, 'tenant' | 'tenantNumber'>,
    policy: EgressPolicy | undefined,
  ): void {
    // Names of others are looked up for no container that may reach nothing.
    this.names.setClosed(tenant, policy?.policy === 'none');
    this.network?.setTenantPolicy(tenantNumber, policy && { policy: policy.policy, to: policy.to });
  }

  /** Why this host can't start it; undefined: it can. */
  refusal(config: ContainerConfig): StartFailure | undefined {
    return networkRefusal(config, { network: this.problem, bandwidth: this.bandwidthProblem });
  }

  prepare(namespace: string): void {
    this.network?.prepare(namespace);
  }

  /** Interface, address, rules and name. */
  attach(config: ContainerConfig): Attachment {
    const { network } = this;
    const wanted = networkOf(config);
    if (wanted === undefined || network === undefined) return {};
    return {
      inNetwork: async (namespace) => {
        const inUse = network.portProblem(wanted);
        if (inUse !== undefined) return { reason: 'port-taken', message: inUse };
        const result = network.attach({ ...wanted, namespace });
        if (!result.ok) return { reason: result.reason, message: result.message };
        await this.names.add(config);
        return undefined;
      },
      ...(network.isWhole(wanted) && {
        inKeptNetwork: async (namespace) => {
          const failure = this.changeIn(network, { ...wanted, namespace });
          if (failure === undefined) await this.names.add(config);
          return failure;
        },
      }),
    };
  }

  /** Of a container that runs: ports, egress and bandwidth as its config has them now. */
  change(config: ContainerConfig, pid: number): ChangeFailure | undefined {
    const wanted = networkOf(config);
    if (wanted === undefined || this.network === undefined) return undefined;
    return this.changeIn(this.network, { ...wanted, pid });
  }

  private changeIn(network: HostNetwork, wanted: Parameters<HostNetwork['change']>[0]): ChangeFailure | undefined {
    const inUse = network.portProblem(wanted);
    if (inUse !== undefined) return { reason: 'port-taken', message: inUse, part: 'ports' };
    const result = network.change(wanted);
    if (result.ok) return undefined;
    const { reason, message } = result;
    return { reason, message, ...(reason === 'port-taken' && { part: 'ports' as const }) };
  }

  /** Of a container that does not run. */
  async detach(config: ContainerConfig): Promise<void> {
    const { containerId } = config;
    this.names.remove(containerId);
    await this.network?.detach(containerId, networkOf(config));
  }

  /** The containers that run when the agent starts. */
  takeOver(running: readonly RunningContainer[]): void {
    const wanted = running.flatMap(({ config, pid }) => {
      const network = networkOf(config);
      return network === undefined ? [] : [{ ...network, pid }];
    });
    try {
      this.log(this.network?.takeOver(wanted));
    } catch (error) {
      // The containers run as before; the periodic check tries it again.
      this.logger.error({ err: error }, 'the network of running containers could not be taken over');
    }
    if (this.network !== undefined) this.names.takeOver(running.map(({ config }) => config));
  }

  /**
   * Compares what the kernel holds with the containers that run or are being started, and mends it.
   * @param pidOf undefined: it does not run yet, or no more
   */
  check(configs: readonly ContainerConfig[], pidOf: (containerId: string) => number | undefined): void {
    const wanted = configs.flatMap((config) => networkOf(config) ?? []);
    this.log(this.network?.check(wanted, pidOf, Date.now()));
    if (this.network !== undefined) this.names.setAll(configs);
  }

  /** Cheap enough for several times a second. */
  guardRules(): void {
    this.log(this.network?.guardRules());
  }

  addressesOf(): undefined {
    return undefined;
  }

  /** By container, as it counts itself. */
  counters(): ReadonlyMap<string, LinkCounters> {
    return this.network?.counters() ?? new Map<string, LinkCounters>();
  }

  /** Packets of this host's containers that were dropped since the rules were written; undefined: no rules. */
  drops(): DropCounts | undefined {
    return this.network?.drops();
  }

  /** By which others find it; undefined: it has no address. */
  nameOf(config: ContainerConfig): string | undefined {
    if (this.network === undefined || networkOf(config) === undefined) return undefined;
    return containerName(config.name, config.tenant, this.names.domain);
  }

  /** For a container's resolv.conf. */
  get resolution(): NonNullable<Networks['resolution']> {
    return { domain: this.names.domain, nameServer: GATEWAY4, hasIpv6: usesIpv6() };
  }

  /** What the resolver of the machine has reported last; undefined: none answers, or none is needed. */
  get resolver(): ResolverStatus | undefined {
    return this.names.resolver;
  }

  /** Processes that an agent before this one may have started, and which keep its mounts alive. */
  get processes(): readonly number[] {
    return this.names.processes;
  }

  /** Whether containers of this agent have interfaces, also those that have just ended. */
  get hasInterfaces(): boolean {
    return this.network?.hasInterfaces === true;
  }

  /** After all containers were removed. */
  async removeAll(): Promise<void> {
    await this.names.removeAll();
    // The kernel takes the interfaces of ended containers away together; one after the other would take longer.
    const end = performance.now() + INTERFACES_PATIENCE_MS;
    while (this.network?.hasInterfaces === true && performance.now() < end) await delay(20);
    this.network?.removeAll();
  }

  close(): void {
    this.names.close();
    this.network?.close();
    // Its descriptors may be those of something else from now on.
    this.network = undefined;
  }

  private log(repairs: Repairs | undefined): void {
    for (const what of repairs?.done ?? []) this.logger.warn({ what }, 'the network of containers was mended');
    for (const what of repairs?.failed ?? []) this.logger.error({ what }, 'the network of containers is not whole');
  }
}

function withoutImpossibleTunnel(options: NetworkOptions, logger: Logger): NetworkOptions {
  const problem = options.remote?.mode === 'vxlan' ? tunnelProblem() : undefined;
  if (problem === undefined) return options;
  logger.warn({ problem }, 'containers of other hosts are not reached: this machine can not have a tunnel');
  return { ...options, remote: undefined };
}
