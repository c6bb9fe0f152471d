/** What plugins of CNI are given about a container, by the names of capabilities, and what none can do. Pure. */
import { type ContainerConfig, type EgressPolicy, parseNetwork } from '@plinth/contracts';
import { networkOf } from './requested-network.js';

/** As many seconds of the rate pass at once; the plugin has the same unit for both: bits. */
const BURST_SECONDS = 0.01;
const LEAST_BURST_BITS = 16 * 1024 * 8;
/** The plugin's limit is 4 GiB. */
const MOST_BURST_BITS = 2 ** 34;

export type CniCapabilities = Readonly<Record<string, unknown>>;

/** @param pool of IPv4 addresses; its prefix length goes with an address that is asked for */
export function cniCapabilities(config: ContainerConfig, pool: string): CniCapabilities {
  const wanted = networkOf(config);
  if (wanted === undefined) return {};
  const { ipv4, ports, bandwidth } = wanted;
  return {
    ...(ports.length > 0 && {
      portMappings: ports.map(({ protocol, hostPort, containerPort, hostAddress }) => ({
        protocol,
        hostPort,
        containerPort,
        ...(hostAddress !== undefined && { hostIP: hostAddress }),
      })),
    }),
    ...(bandwidth !== undefined && {
      bandwidth: {
        ...rate('ingress', bandwidth.receiveBitsPerSecond),
        ...rate('egress', bandwidth.sendBitsPerSecond),
      },
    }),
    ips: [`${ipv4}/${parseNetwork(pool)?.prefix ?? 32}`],
  };
}

/**
 * Why a network of CNI can't have the container; undefined: it can.
 * @param offers whether a plugin wants to know of a capability
 */
export function cniRefusal(
  config: ContainerConfig,
  /** Of its tenant; undefined: none. */
  tenantPolicy: EgressPolicy | undefined,
  network: string,
  offers: (capability: string) => boolean,
): string | undefined {
  const wanted = networkOf(config);
  if (wanted === undefined) return undefined;
  const has = `this host has the network ${network} of CNI`;
  if (wanted.egress.policy !== 'allow')
    return `${has}, which holds no container to an egress policy: start it on another host, or without one`;
  if (tenantPolicy !== undefined && tenantPolicy.policy !== 'allow')
    return `${has}, which does not hold its tenant ${config.tenant} to its egress policy: start it on another host`;
  if (wanted.ports.length > 0 && !offers('portMappings'))
    return `${has}, none of whose plugins has the capability portMappings: no port can be published`;
  if (wanted.bandwidth !== undefined && !offers('bandwidth'))
    return `${has}, none of whose plugins has the capability bandwidth: no bandwidth can be limited`;
  return undefined;
}

function rate(direction: 'ingress' | 'egress', bitsPerSecond: number | undefined): Record<string, number> {
  if (bitsPerSecond === undefined) return {};
  const burst = Math.min(MOST_BURST_BITS, Math.max(LEAST_BURST_BITS, Math.ceil(bitsPerSecond * BURST_SECONDS)));
  return { [`${direction}Rate`]: bitsPerSecond, [`${direction}Burst`]: burst };
}
