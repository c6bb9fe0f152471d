/** IPv4 and IPv6 addresses and networks as numbers. Pure. */
import { formatIpv4, formatIpv6, parseIp } from '@plinth/contracts';

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
  addressNumber(address);
  return address.includes(':') ? 6 : 4;
}

/** @throws RangeError */
export function addressNumber(address: string): bigint {
  const number = parseIp(address);
  if (number === undefined) throw new RangeError(`${JSON.stringify(address)} is no IP address`);
  return number;
}

/** In network order: 4 or 16. @throws RangeError */
export function addressBytes(address: string): Buffer {
  const digits = BITS[familyOf(address)] / 4;
  return Buffer.from(addressNumber(address).toString(16).padStart(digits, '0'), 'hex');
}

export function addressText(family: Family, value: bigint): string {
  return family === 4 ? formatIpv4(Number(value)) : formatIpv6(value);
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
