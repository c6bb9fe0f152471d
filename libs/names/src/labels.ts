/** Names of containers, and of their addresses (RFC 1035 §3.5, RFC 3596 §2.5). Pure. */
import { isIPv4, isIPv6 } from 'node:net';

/** RFC 1123 §2.1, lower case: names of containers and tenants. */
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
export const LABEL_PATTERN = new RegExp(`^${LABEL}$`);
/** With the labels of a container and its tenant before it, a name has at most 253 characters. */
export const DOMAIN_PATTERN = new RegExp(`^(?=.{1,125}$)${LABEL}(?:\\.${LABEL})*$`);

/** `shop-1.acme.plinth.internal` */
export function containerName(name: string, tenant: string, domain: string): string {
  return `${name}.${tenant}.${domain}`;
}

/** The 32 hexadecimal digits of an IPv6 address; an IPv4 address as it is. @throws RangeError */
export function addressKey(address: string): string {
  if (isIPv4(address)) return address;
  if (!isIPv6(address) || address.includes('%')) throw new RangeError(`${JSON.stringify(address)} is no IP address`);
  // The last four bytes may be written as IPv4.
  const text = address.replace(/[\d.]+\.[\d.]+$/, (last) => {
    const [a = 0, b = 0, c = 0, d = 0] = last.split('.').map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = '', tail] = text.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].map((word) => word.toLowerCase().padStart(4, '0')).join('');
}

const REVERSE4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;
const REVERSE6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/;

/** The address that a name below `in-addr.arpa` or `ip6.arpa` is about; undefined: it is no such name. */
export function reversedAddress(name: string): string | undefined {
  const four = REVERSE4.exec(name);
  if (four) {
    const address = four.slice(1).reverse().join('.');
    return isIPv4(address) ? address : undefined;
  }
  const six = REVERSE6.exec(name)?.[1];
  if (six === undefined) return undefined;
  const digits = six.replaceAll('.', '').split('').reverse().join('');
  return (digits.match(/.{4}/g) ?? []).join(':');
}
