/** Which network a container gets on a host. */
import {
  CONTAINER_NETWORKS,
  type ContainerNetwork,
  type ContainerRequested,
  type EgressPolicy,
} from '@plinth/contracts';
import type { CandidateHost } from '../../placement/domain/placement.js';

/** `auto`: `container` on hosts that offer it, else `isolated`. */
export const DEFAULT_NETWORKS = ['auto', ...CONTAINER_NETWORKS] as const;
export type WantedNetwork = (typeof DEFAULT_NETWORKS)[number];

/** Ports, an egress policy and a bandwidth are worth nothing without an address. @param preset where the request names no network */
export function wantedNetwork(
  { network, ports, egress, bandwidth }: Pick<ContainerRequested, 'network' | 'ports' | 'egress' | 'bandwidth'>,
  preset: WantedNetwork,
): WantedNetwork {
  if (network !== undefined) return network;
  const isNeeded = (ports !== undefined && ports.length > 0) || egress !== undefined || bandwidth !== undefined;
  return isNeeded ? 'container' : preset;
}

/** Whether one of the policies, its own and its tenant's, keeps a container from anything; absent: it does not. */
export function isHeldBack(...policies: readonly (EgressPolicy | undefined)[]): boolean {
  return policies.some((egress) => egress !== undefined && egress.policy !== 'allow');
}

export function networkOn(host: CandidateHost, wanted: WantedNetwork): ContainerNetwork {
  if (wanted !== 'auto') return wanted;
  return host.network ? 'container' : 'isolated';
}
