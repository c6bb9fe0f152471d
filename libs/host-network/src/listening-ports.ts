/** Ports on which programs of the host itself wait: publishing one would take it away from them. */
import { readFileSync } from 'node:fs';
import { canonicalAddress } from './address.js';
import type { PublishedPort } from './container-network.js';
import { hasIpv6 } from './kernel-settings.js';
import { NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';
import { listListening, NETLINK_SOCK_DIAG, readListener } from './netlink/socket-messages.js';

/** A socket that receives what comes to it from anywhere. */
export interface ListeningSocket {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  /** Canonical. */
  readonly address: string;
}

/** Of this thread's network: for each protocol that one of the ports has. */
export function listeningSockets(ports: readonly PublishedPort[]): ListeningSocket[] {
  const isPublished = (wanted: PublishedPort['protocol']): boolean => ports.some(({ protocol }) => protocol === wanted);
  return [
    ...(isPublished('tcp') ? listeningByTcp() : []),
    ...(isPublished('udp') ? ['udp', ...(hasIpv6() ? ['udp6'] : [])].flatMap((file) => inFile('udp', file)) : []),
  ];
}

/** Not from /proc, for which the kernel looks through its table of all connections: milliseconds, however few there are. */
function listeningByTcp(): ListeningSocket[] {
  const socket = new NetlinkSocket(NETLINK_SOCK_DIAG);
  try {
    return ([4, ...(hasIpv6() ? ([6] as const) : [])] as const).flatMap((family) =>
      socket
        .ask(listListening(family), 'list the ports on which programs of this host listen')
        .flatMap((received) => readListener(received) ?? [])
        .map(({ port, address }) => ({ protocol: 'tcp' as const, port, address: addressOf(address) })),
    );
  } catch (error) {
    // A kernel without CONFIG_INET_DIAG, or without its module.
    if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error;
    return ['tcp', ...(hasIpv6() ? ['tcp6'] : [])].flatMap((file) => inFile('tcp', file));
  } finally {
    socket.close();
  }
}

function inFile(protocol: ListeningSocket['protocol'], file: string): ListeningSocket[] {
  return readListening(protocol, readFileSync(`/proc/net/${file}`, 'utf8'));
}

/** proc_net_tcp.rst: TCP sockets that listen (0A), UDP sockets that are connected to nobody (07). Pure. */
export function readListening(protocol: ListeningSocket['protocol'], table: string): ListeningSocket[] {
  const state = protocol === 'tcp' ? '0A' : '07';
  return [...table.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm)].flatMap(
    ([, address = '', port = '', found]) =>
      found === state ? [{ protocol, port: Number.parseInt(port, 16), address: addressIn(address) }] : [],
  );
}

/** Words of 32 bits, each in the machine's order. */
function addressIn(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  bytes.swap32();
  return addressOf(bytes);
}

/** In the network's order. */
function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return canonicalAddress(bytes.toString('hex').replaceAll(/(.{4})(?=.)/g, '$1:'));
}

/** The first of the ports that a program of the host would lose. Published ports do not touch the loopback. Pure. */
export function portInUse(
  ports: readonly PublishedPort[],
  sockets: readonly ListeningSocket[],
): PublishedPort | undefined {
  return ports.find(({ protocol, hostPort, hostAddress }) => {
    const at = hostAddress === undefined ? undefined : canonicalAddress(hostAddress);
    return sockets.some(
      (socket) =>
        socket.protocol === protocol &&
        socket.port === hostPort &&
        !isLoopback(socket.address) &&
        (isEvery(at) || isEvery(socket.address) || at === socket.address),
    );
  });
}

const isEvery = (address: string | undefined): boolean =>
  address === undefined || address === '0.0.0.0' || address === '::';
const isLoopback = (address: string): boolean =>
  /^127\./.test(address) || address === '::1' || address.startsWith('::ffff:7f');
