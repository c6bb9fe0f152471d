/** The resolvers that a host asks, from its resolv.conf(5). Pure. */
import { isIP, isIPv4, isIPv6 } from 'node:net';

/** As the C library does: MAXNS of resolv.h. */
export const MOST_NAME_SERVERS = 3;

/**
 * The first name servers of the file, without those of `own`: a resolver that asks itself gets no answer.
 * @param text of any length, and of any content
 */
export function nameServers(text: string, own: readonly string[]): readonly string[] {
  const found = text.split('\n').flatMap((line) => {
    const [keyword, address = ''] = line.trim().split(/\s+/);
    return keyword === 'nameserver' && isServer(address) && !isOwn(address, own) ? [address] : [];
  });
  return [...new Set(found)].slice(0, MOST_NAME_SERVERS);
}

/** With `%eth0` where the address is link-local. */
function isServer(address: string): boolean {
  return isIP(address) !== 0;
}

function isOwn(address: string, own: readonly string[]): boolean {
  const plain = isIPv6(address) ? address.toLowerCase().replace(/^::ffff:/, '') : address;
  return own.includes(plain) || (isIPv4(plain) && plain.startsWith('0.'));
}
