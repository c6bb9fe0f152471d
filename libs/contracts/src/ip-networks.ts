/** IP addresses and networks as text and as numbers (RFC 4632 for CIDR, RFC 5952 for the text of IPv6). */
import { isIPv4, isIPv6 } from 'node:net';

export interface IpNetwork {
  readonly family: 4 | 6;
  /** The first address. */
  readonly base: bigint;
  readonly prefix: number;
}

/** Reads `10.0.0.0/8` or `2001:db8::/32`; undefined for anything else, also where bits after the prefix are set. */
export function parseNetwork(text: string): IpNetwork | undefined {
  const match = /^([0-9a-fA-F:.]{2,45})\/(0|[1-9]\d{0,2})$/.exec(text);
  const address = match?.[1] ?? '';
  const prefix = Number(match?.[2]);
  const base = parseIp(address);
  if (base === undefined) return undefined;
  const family = isIPv4(address) ? 4 : 6;
  const bits = family === 4 ? 32 : 128;
  if (prefix > bits || base % (1n << BigInt(bits - prefix)) !== 0n) return undefined;
  return { family, base, prefix };
}

/** The number of an IPv4 or IPv6 address; undefined when the text is neither, or names a zone. */
export function parseIp(text: string): bigint | undefined {
  if (isIPv4(text)) return text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const dotted = /[\d.]*\.[\d.]*$/.exec(text)?.[0];
  const tail = dotted === undefined ? [] : groupsOf(Number(parseIp(dotted)));
  const colons = dotted === undefined ? text : text.slice(0, -dotted.length).replace(/([^:]):$/, '$1');
  const [head = '', rest] = colons.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = [...(rest === undefined || rest === '' ? [] : rest.split(':')), ...tail];
  const groups =
    rest === undefined
      ? [...before, ...after]
      : [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

/** Loopback, link-local, multicast: at none of them a port of a container is reached (docs/network.md). */
const NEVER_PUBLISHED = [
  ...['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'],
  ...['::1/128', 'fe80::/10', 'ff00::/8', '::ffff:0:0/96'],
].flatMap((network) => parseNetwork(network) ?? []);

/** Whether a port can be published at this address of a host. */
export function isPublishableAddress(text: string): boolean {
  const address = parseIp(text);
  if (address === undefined) return false;
  const bits = isIPv4(text) ? 32 : 128;
  return !NEVER_PUBLISHED.some(
    ({ family, base, prefix }) =>
      (family === 4) === (bits === 32) && address >> BigInt(bits - prefix) === base >> BigInt(bits - prefix),
  );
}

function groupsOf(address: number): string[] {
  return [(address >>> 16).toString(16), (address & 0xffff).toString(16)];
}

/** @param address 0 to 2³² − 1 */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

/** The shortest text: lower case, the longest run of two or more zero groups as `::`, the first of several. */
export function formatIpv6(address: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => Number((address >> BigInt(112 - 16 * index)) & 0xffffn));
  let from = 0;
  let most = 0;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > most) [from, most] = [start, length];
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return most < 2 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + most))}`;
}
