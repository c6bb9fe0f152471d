/** What the agent asks of its containers' network, made by this system or by plugins of CNI. */
import type { ContainerConfig, EgressPolicy, Neighbour, TenantEgress, TenantNeighbours } from '@plinth/contracts';
import type { InstancePlace } from '@plinth/container-runtime';
import type { DropCounts, LinkCounters } from '@plinth/host-network';
import type { ResolverStatus } from '@plinth/names';
import type { StartFailure } from '../domain/start-failure.js';

export interface RunningContainer {
  readonly config: ContainerConfig;
  readonly pid: number;
}

export interface ChangeFailure extends StartFailure {
  /** Absent: all that the network has to do with. */
  readonly part?: 'ports' | 'bandwidth';
  /** It can't take effect in this run; absent: it may, with the next attempt. */
  readonly needsStart?: boolean;
}

/** At which point of a start the network of a container is made; none of them: it has none of its own. */
export interface Attachment {
  /** While the runtime makes the rest. @param namespace path of its network namespace, in which no process is yet */
  readonly inNetwork?: (namespace: string) => Promise<StartFailure | undefined>;
  /** In its place, in the network that the container's last run had; absent: that can't be used. */
  readonly inKeptNetwork?: (namespace: string) => Promise<StartFailure | undefined>;
  /** @param pid of the first process, which waits */
  readonly onCreated?: (pid: number) => Promise<StartFailure | undefined>;
}

export interface Networks {
  /** Why containers here have no network of their own; undefined: they can. */
  readonly problem: string | undefined;
  /** Why what they receive and send can't be limited; undefined: it can, or they have none. */
  readonly bandwidthProblem: string | undefined;
  /** Name of the network of CNI that they get; undefined: that of this system. */
  readonly cniNetwork: string | undefined;
  /** Where other hosts reach the containers of this one; undefined: they do not. */
  readonly address: string | undefined;
  /** For a container's resolv.conf; undefined: it is written with {@link attach}. */
  readonly resolution: InstancePlace['names'] | undefined;
  /** What the resolver of the machine has reported last; undefined: none answers, or none is needed. */
  readonly resolver: ResolverStatus | undefined;
  /** Processes that an agent before this one may have started, and which keep its mounts alive. */
  readonly processes: readonly number[];

  /** Replaces what is known of a part of a tenant's containers on other hosts. */
  setNeighbours(
    part: string,
    tenant: Pick<TenantNeighbours, 'tenant' | 'tenantNumber'>,
    containers: readonly Neighbour[],
  ): void;
  /**
   * What all containers of a tenant may reach, beside their own policies; also of those that run.
   * @param policy undefined: everything
   * @throws when the rules could not be changed
   */
  setTenantPolicy(tenant: Pick<TenantEgress, 'tenant' | 'tenantNumber'>, policy: EgressPolicy | undefined): void;
  /** Why this host can't start it; undefined: it can. */
  refusal(config: ContainerConfig): StartFailure | undefined;
  /** Whether the network of a run may be that of the next one. */
  readonly canBeKept: boolean;
  /** What depends on no container, in a network that one will get. @param namespace path of it; no process is in it */
  prepare(namespace: string): void;
  /** All that it needs to be reached, before its first process is let go. */
  attach(config: ContainerConfig): Attachment;
  /** Of a container that runs: ports, egress and bandwidth as its config has them now. */
  change(config: ContainerConfig, pid: number): ChangeFailure | undefined;
  /** After its last process. What can't be undone now is tried again later. */
  detach(config: ContainerConfig): Promise<void>;
  /** By which others find it; undefined: they do not. */
  nameOf(config: ContainerConfig): string | undefined;
  /** The containers that run when the agent starts. */
  takeOver(running: readonly RunningContainer[]): void;
  /**
   * Compares what is there with the containers that run or are being started, and mends it.
   * @param pidOf undefined: it does not run yet, or no more
   */
  check(configs: readonly ContainerConfig[], pidOf: (containerId: string) => number | undefined): void;
  /** Cheap enough for several times a second. */
  guardRules(): void;
  /** Addresses that are not those of its config; undefined: they are. */
  addressesOf(containerId: string): readonly string[] | undefined;
  /** By container, as it counts itself. */
  counters(): ReadonlyMap<string, LinkCounters>;
  /** Packets of this host's containers that were dropped since the rules were written; undefined: no rules. */
  drops(): DropCounts | undefined;
  /** After all containers were removed. @throws when something of them is left */
  removeAll(): Promise<void>;
  close(): void | Promise<void>;
}
