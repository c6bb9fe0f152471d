/**
 * The pool of addresses of a stack: installations on one machine need pools of their own, because an address that two
 * give out leads to one container only. So each home gets a part of the default pool, unless a person sets one.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ADDRESS_POOL, ADDRESS_POOL6, poolProblems } from '@plinth/contracts';
import { overlappingPools } from '@plinth/host-network';

/** Of 10.64.0.0/10: parts of 65,534 addresses. */
const FIRST_PART = 64;
const PARTS = 64;

export interface Network {
  /** As a number of 32 bits. */
  readonly address: number;
  readonly mask: number;
}

/** The same one for a home again, unless it overlaps a network that is taken. Pure. */
export function partOfPool(home: string, taken: readonly Network[]): string {
  const first = createHash('sha256').update(home).digest().readUInt16BE(0) % PARTS;
  const parts = Array.from({ length: PARTS }, (_, index) => FIRST_PART + ((first + index) % PARTS));
  const free = parts.find((part) => !taken.some((network) => overlaps(network, part))) ?? FIRST_PART + first;
  return `10.${free}.0.0/16`;
}

function overlaps({ address, mask }: Network, part: number): boolean {
  const common = mask & 0xffff0000;
  return (address & common) === (((10 << 24) | (part << 16)) & common);
}

/** Why containers of this machine can't have addresses of these pools, in words with what to do. */
export function unusablePools({
  PLINTH_ADDRESS_POOL = ADDRESS_POOL,
  PLINTH_ADDRESS_POOL6 = ADDRESS_POOL6,
}: {
  readonly PLINTH_ADDRESS_POOL?: string | undefined;
  readonly PLINTH_ADDRESS_POOL6?: string | undefined;
}): readonly string[] {
  const pools = { PLINTH_ADDRESS_POOL, PLINTH_ADDRESS_POOL6 };
  const invalid = poolProblems(pools);
  return invalid.length > 0 ? invalid : overlappingPools(pools).map(({ message }) => message);
}

/** Networks and addresses to which this machine has a route, but for the default one. */
export function routedNetworks(): Network[] {
  return readRoutes(readFileSync('/proc/net/route', 'utf8'));
}

/** proc_net_route: hexadecimal numbers in the byte order of the machine, which is little-endian. Pure. */
export function readRoutes(table: string): Network[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination = '', , , , , , mask = ''] = line.split('\t');
      if (!/^[0-9A-F]{8}$/.test(destination) || !/^[0-9A-F]{8}$/.test(mask) || Number.parseInt(mask, 16) === 0)
        return [];
      return [{ address: number(destination), mask: number(mask) }];
    });
}

const number = (hex: string): number => Buffer.from(hex, 'hex').reverse().readUInt32BE(0);
