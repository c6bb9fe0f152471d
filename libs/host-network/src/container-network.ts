/** What the network of a host is asked for: plain data, checked by the caller. */
import { isDeepStrictEqual } from 'node:util';

/** One container's network. */
export interface ContainerNetwork {
  readonly containerId: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** 1 … 65535: containers with the same number reach each other. */
  readonly tenant: number;
  readonly ports: readonly PublishedPort[];
  readonly egress: Egress;
  /** Absent: no limit. */
  readonly bandwidth?: BandwidthLimit;
}

/** Bits per second; an absent one is not limited. */
export interface BandwidthLimit {
  readonly receiveBitsPerSecond?: number;
  readonly sendBitsPerSecond?: number;
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp';
  readonly hostPort: number;
  readonly containerPort: number;
  /** An address of the host; absent: each one that it has. */
  readonly hostAddress?: string;
}

/** Where a container may begin connections to, outside of its tenant. */
export interface Egress {
  readonly policy: 'allow' | 'none' | 'list';
  /** For `list`. */
  readonly to?: readonly EgressTarget[];
}

export interface EgressTarget {
  /** IPv4 or IPv6, such as `192.0.2.0/24`. */
  readonly network: string;
  /** Absent: any, ICMP too. */
  readonly protocol?: 'tcp' | 'udp';
  /** `443` or `8000-8100`; absent: all. */
  readonly ports?: readonly string[];
}

/** Names on a host: two agents of one machine share neither interface nor table. */
export interface NetworkNames {
  readonly table: string;
  /** Of all interfaces of this agent's containers; of any agent's they begin with {@link ANY_PREFIX}. */
  readonly prefix: string;
}

export const ANY_PREFIX = 'plc';
/** Of the tables of all agents. */
export const TABLE_PREFIX = 'plinth_';
/** The gateway of every container, on the host's loopback. */
export const GATEWAY4 = '169.254.1.1';
export const GATEWAY6 = 'fe80::1';
/** Where names are asked by IPv6, on the host's loopback too; by IPv4 it is the gateway. */
export const RESOLVER6 = 'fd00:706c:696e:ffff::53';

/** @param instance hexadecimal digits, at least 4 */
export function networkNames(instance: string): NetworkNames {
  if (!/^[0-9a-f]{4,}$/.test(instance)) throw new RangeError(`${JSON.stringify(instance)} names no instance`);
  return { table: `${TABLE_PREFIX}${instance}`, prefix: `${ANY_PREFIX}${instance.slice(0, 4)}` };
}

/** linux/if.h: IFNAMSIZ - 1 */
const NAME_LENGTH = 15;
/** Names are given out since then. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/** An interface name, from a number that is not used twice. */
export function interfaceName({ prefix }: NetworkNames, number: number): string {
  const digits = number.toString(36).padStart(NAME_LENGTH - prefix.length, '0');
  return `${prefix}${digits.slice(-(NAME_LENGTH - prefix.length))}`;
}

/** The first number of a process: higher than those before it, which gave out fewer than one per millisecond. */
export function firstNumber(nowMs: number): number {
  return Math.max(1, Math.floor(nowMs - EPOCH_MS));
}

/** Whether one needs what the other has: address, tenant, ports and policy. */
export function isSameNetwork(one: ContainerNetwork, other: ContainerNetwork): boolean {
  return (
    one.ipv4 === other.ipv4 &&
    one.ipv6 === other.ipv6 &&
    one.tenant === other.tenant &&
    isDeepStrictEqual(one.ports, other.ports) &&
    isDeepStrictEqual(one.egress, other.egress)
  );
}

/** Ports that one publishes and the other does not, or for another address. */
export function portsOnlyIn(one: ContainerNetwork, other: ContainerNetwork): PublishedPort[] {
  const isSame = one.ipv4 === other.ipv4 && one.ipv6 === other.ipv6;
  return one.ports.filter((port) => !isSame || !other.ports.some((known) => isDeepStrictEqual(known, port)));
}
