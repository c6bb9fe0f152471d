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

/** @param isHeld the container is held to an egress policy */
export function offering(
  hosts: readonly CandidateHost[],
  wanted: WantedNetwork,
  isHeld = false,
): readonly CandidateHost[] {
  switch (wanted) {
    case 'isolated':
      return hosts;
    case 'host':
      return isHeld ? [] : hosts;
    case 'auto':
      return hosts.filter(({ network, egressPolicies }) => !network || egressPolicies || !isHeld);
    case 'container':
      return hosts.filter(({ network, egressPolicies }) => network && (egressPolicies || !isHeld));
  }
}

export function networkOn(host: CandidateHost, wanted: WantedNetwork): ContainerNetwork {
  if (wanted !== 'auto') return wanted;
  return host.network ? 'container' : 'isolated';
}

/** @param isHeld as of {@link offering} */
export function notOffered(hosts: number, wanted: WantedNetwork, isHeld: boolean): string {
  if (wanted === 'host' && isHeld)
    return "what its tenant may reach is limited, and nothing holds a container in the host's network to that: ask for the network container";
  const none = hosts === 1 ? 'the one ready host does not give' : `none of the ${hosts} ready hosts gives`;
  return (
    `${none} containers an address of their own, and holds them to an egress policy where one is asked for: ask for the network isolated, without ports, egress and bandwidth, ` +
    'or wait for a host that offers it; plinth hosts lists all hosts'
  );
}
