/** The networks of all containers' addresses: what may be configured as one, the same for provisioners and agents. */
import { parseNetwork } from './ip-networks.js';

/** Where no other is set. */
export const ADDRESS_POOL = '10.64.0.0/10';
export const ADDRESS_POOL6 = 'fd00:706c:696e::/64';

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

/** What is wrong with the pools that are set, each in words with its variable. */
export function poolProblems(pools: {
  readonly PLINTH_ADDRESS_POOL: string;
  readonly PLINTH_ADDRESS_POOL6: string;
}): readonly string[] {
  const { PLINTH_ADDRESS_POOL: pool, PLINTH_ADDRESS_POOL6: pool6 } = pools;
  const problems = { PLINTH_ADDRESS_POOL: poolProblem(pool), PLINTH_ADDRESS_POOL6: prefixProblem(pool6) };
  return Object.entries(problems).flatMap(([variable, problem]) =>
    problem === undefined ? [] : [`${variable} ${problem}`],
  );
}
