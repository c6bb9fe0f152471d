/** The pool of the containers' addresses: what may be configured as one, and the addresses in it. */
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

const LONGEST_PREFIX = 30;
const SHORTEST_PREFIX = 8;
/** Networks with a meaning of their own (RFC 6890, RFC 5771): no container can be reached there. */
const UNUSABLE = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'];

/** What is wrong with an IPv4 pool, or undefined. */
export function poolProblem(text: unknown): string | undefined {
  const network = typeof text === 'string' ? parseNetwork(text) : undefined;
  if (network?.family !== 4)
    return 'must be an IPv4 network in CIDR form such as 10.64.0.0/10, no bit set after the prefix';
  if (network.prefix > LONGEST_PREFIX || network.prefix < SHORTEST_PREFIX)
    return `must have a prefix of ${SHORTEST_PREFIX} to ${LONGEST_PREFIX} bits`;
  const other = UNUSABLE.find((unusable) => overlap(network, parseNetwork(unusable)));
  return other === undefined ? undefined : `must not overlap ${other}, which no host can route to containers`;
}

/** What is wrong with an IPv6 prefix for the pool, or undefined. */
export function prefixProblem(text: unknown): string | undefined {
  const network = typeof text === 'string' ? parseNetwork(text) : undefined;
  if (network?.family !== 6 || network.prefix !== 64)
    return 'must be an IPv6 network of 64 bits such as fd00:706c:696e::/64, no bit set after the prefix';
  const first = Number(network.base >> 112n);
  if (first === 0 || first >= 0xfe80) return 'must be of addresses that hosts route, such as those of fd00::/8';
  return undefined;
}

interface Range {
  readonly base: bigint;
  readonly prefix: number;
}

function overlap(one: Range, other: Range | undefined): boolean {
  if (!other) return false;
  const shift = BigInt(32 - Math.min(one.prefix, other.prefix));
  return one.base >> shift === other.base >> shift;
}

/** @param pool one without a {@link poolProblem} */
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
