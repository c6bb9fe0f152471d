/** IPv4 and IPv6 addresses and networks as numbers. Pure. */
import { isIPv4, isIPv6 } from 'node:net';

export type Family = 4 | 6;

/** Addresses `first` to `last`, both included. */
export interface AddressRange {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

const BITS: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };

/** @throws RangeError */
export function familyOf(address: string): Family {
  if (isIPv4(address)) return 4;
  if (isIPv6(address) && !address.includes('%')) return 6;
  throw new RangeError(`${JSON.stringify(address)} is no IP address`);
}

/** In network order: 4 or 16. @throws RangeError */
export function addressBytes(address: string): Buffer {
  const family = familyOf(address);
  if (family === 4) return Buffer.from(address.split('.').map(Number));
  const withGroups = address.includes('.') ? embeddedAsGroups(address) : address;
  const [head = '', tail] = withGroups.split('::');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const groups = [
    ...before,
    ...Array<number>(tail === undefined ? 0 : 8 - before.length - after.length).fill(0),
    ...after,
  ];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** `::ffff:10.0.0.1` → `::ffff:a00:1` */
function embeddedAsGroups(address: string): string {
  const at = address.lastIndexOf(':') + 1;
  const [a = 0, b = 0, c = 0, d = 0] = address.slice(at).split('.').map(Number);
  return `${address.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

export function addressNumber(address: string): bigint {
  return BigInt(`0x${addressBytes(address).toString('hex')}`);
}

/** As inet_ntop(3) writes it, but for IPv6 addresses that hold an IPv4 address in dots. */
export function addressText(family: Family, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(16 * (7 - index))) & 0xffffn));
  let zeros = { at: -1, length: 1 };
  for (let at = 0; at < 8; at += 1) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length += 1;
    if (length > zeros.length) zeros = { at, length };
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return zeros.at < 0
    ? text(groups)
    : `${text(groups.slice(0, zeros.at))}::${text(groups.slice(zeros.at + zeros.length))}`;
}

/** The same address always as the same text. @throws RangeError */
export function canonicalAddress(address: string): string {
  return addressText(familyOf(address), addressNumber(address));
}

/** `10.0.0.0/8`, or one address. @throws RangeError */
export function parseNetwork(text: string): AddressRange & { readonly prefix: number } {
  const [address = '', length, ...rest] = text.split('/');
  const family = familyOf(address);
  const prefix = length === undefined ? BITS[family] : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if (rest.length > 0 || !(prefix <= BITS[family])) throw new RangeError(`${JSON.stringify(text)} is no network`);
  const size = 1n << BigInt(BITS[family] - prefix);
  const first = (addressNumber(address) / size) * size;
  return { family, prefix, first, last: first + size - 1n };
}

export function overlap(one: AddressRange, other: AddressRange): boolean {
  return one.family === other.family && one.first <= other.last && other.first <= one.last;
}

/** As nft(8) writes a range: one address, a network where it is one, else both ends. */
export function rangeText({ family, first, last }: AddressRange): string {
  if (first === last) return addressText(family, first);
  const size = last - first + 1n;
  const isNetwork = (size & (size - 1n)) === 0n && first % size === 0n;
  if (!isNetwork) return `${addressText(family, first)}-${addressText(family, last)}`;
  return `${addressText(family, first)}/${BITS[family] - (size.toString(2).length - 1)}`;
}

/**
 * Hardware address that belongs to an IPv4 address, so that it needs no store: locally administered, of one station.
 * @param end which end of the pair
 */
export function hardwareAddress(ipv4: string, end: 'host' | 'container'): Buffer {
  return Buffer.concat([Buffer.from([end === 'host' ? 0x06 : 0x02, 0x70]), addressBytes(ipv4)]);
}
