/** The network that a config asks for. Pure. */
import type { ContainerConfig } from '@plinth/contracts';
import type { StartFailure } from './start-failure.js';

export interface NetworkedContainer {
  readonly containerId: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Number of its tenant. */
  readonly tenant: number;
  readonly ports: NonNullable<ContainerConfig['ports']>;
  readonly egress: NonNullable<ContainerConfig['egress']>;
  readonly bandwidth?: ContainerConfig['bandwidth'];
}

/** undefined: it has none of its own; nor has a config of `container` that was given no address. */
export function networkOf(config: ContainerConfig): NetworkedContainer | undefined {
  const { containerId, network, address, tenantNumber, bandwidth, ports = [], egress = { policy: 'allow' } } = config;
  if (network !== 'container' || address === undefined || tenantNumber === undefined) return undefined;
  return { containerId, ipv4: address.ipv4, ipv6: address.ipv6, tenant: tenantNumber, ports, egress, bandwidth };
}

/** What this host's kernel lacks, in words; undefined: it has it. */
export interface NetworkProblems {
  /** For a network of containers' own. */
  readonly network: string | undefined;
  /** For a limit of what they receive and send. */
  readonly bandwidth: string | undefined;
}

/** Why this host can't start it: nothing of it is made. undefined: it can. */
export function networkRefusal(config: ContainerConfig, problems: NetworkProblems): StartFailure | undefined {
  const wanted = networkOf(config);
  if (wanted === undefined) return undefined;
  const refuse = (message: string): StartFailure => ({ reason: 'network-unavailable', message });
  if (problems.network !== undefined)
    return refuse(`this host can not give a container a network of its own: ${problems.network}`);
  if (wanted.bandwidth !== undefined && problems.bandwidth !== undefined)
    return refuse(`this host can not hold a container to a bandwidth: ${problems.bandwidth}`);
  return undefined;
}
