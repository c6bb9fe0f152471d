/** The addresses in the pool of the containers' addresses. */
import { type ContainerAddress, formatIpv4, formatIpv6, parseIp, parseNetwork } from '@plinth/contracts';

/** Every address but the first and the last, which hosts may take for the network's own and its broadcast. */
export interface AddressPool {
  /** In CIDR form. */
  readonly pool: string;
  readonly first: string;
  readonly last: string;
}

/** What a container has in the network, wherever it runs. */
export interface NetworkIdentity {
  readonly address: ContainerAddress;
  /** One per tenant. */
  readonly tenantNumber: number;
}

/** @param pool one that may be configured: see `poolProblem` of the contracts */
export function addressPool(pool: string): AddressPool {
  const network = parseNetwork(pool);
  if (network?.family !== 4) throw new Error(`${pool} is no IPv4 network`);
  const first = Number(network.base) + 1;
  return { pool, first: formatIpv4(first), last: formatIpv4(first + 2 ** (32 - network.prefix) - 3) };
}

/** How many containers can have an address of the pool. */
export function poolSize(pool: string): number {
  return 2 ** (32 - Number(pool.split('/')[1])) - 2;
}

/** @param pool6 network of 64 bits in CIDR form */
export function containerAddress(ipv4: string, pool6: string): ContainerAddress {
  const prefix = parseNetwork(pool6);
  const low = parseIp(ipv4);
  if (prefix?.family !== 6 || low === undefined) throw new Error(`no address can be made of ${pool6} and ${ipv4}`);
  return { ipv4, ipv6: formatIpv6(prefix.base + low) };
}
