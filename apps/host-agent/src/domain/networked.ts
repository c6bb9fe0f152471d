/** The network that a config asks for. Pure. */
import type { ContainerConfig } from '@plinth/contracts';

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
