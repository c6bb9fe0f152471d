/** Where other hosts reach this one. */
import { createSocket } from 'node:dgram';
import { isIPv4 } from 'node:net';

/** Addresses that a default route leads to (RFC 5737, RFC 3849); nothing is sent there. */
const OUTSIDE = ['198.51.100.1', '2001:db8::1'];

/** The source address of packets that leave by the default route, IPv4 before IPv6; undefined: there is no such route. */
export async function defaultAddress(): Promise<string | undefined> {
  for (const outside of OUTSIDE) {
    const found = await sourceOf(outside);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sourceOf(outside: string): Promise<string | undefined> {
  const socket = createSocket(isIPv4(outside) ? 'udp4' : 'udp6');
  return new Promise((resolve) => {
    const done = (address?: string): void => {
      socket.close();
      resolve(address);
    };
    socket.on('error', () => done());
    socket.connect(9, outside, (error?: Error) => done(error ? undefined : socket.address().address));
  });
}
