/** The network of containers on one host: interfaces, addresses and routes by rtnetlink, rules by libnftables. */
export type {
  BandwidthLimit,
  ContainerNetwork,
  Egress,
  EgressTarget,
  NetworkNames,
  PublishedPort,
} from './container-network.js';
export { ANY_PREFIX, GATEWAY4, GATEWAY6, networkNames } from './container-network.js';
export { type AddressPools, overlappingPools, type PoolOverlap } from './foreign-routes.js';
export { HostNetwork, type HostNetworkOptions } from './host-network.js';
export type { Attached, Repairs, RunningNetwork } from './placed-containers.js';
export { ownRateOf } from './link-rates.js';
export type { RateLimit } from './netlink/qdisc-messages.js';
export type { LinkCounters } from './netlink/route-messages.js';
export type { DropCounts } from './nft/rule-table.js';
export { enterNewNetwork, inNetworkOf, NamespaceError } from './network-namespace.js';
export {
  bandwidthProblem,
  droppingForwardChains,
  type ForwardPolicy,
  networkProblem,
  tunnelProblem,
} from './readiness.js';
export { parseNetwork } from './address.js';
export { usesIpv6 } from './kernel-settings.js';
export type { RemoteContainer } from './remote/remote-containers.js';
export { TUNNEL_INTERFACE, type TunnelOptions } from './remote/remote-network.js';
