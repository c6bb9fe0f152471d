/**
 * How fast a container receives and sends: the host's end of its pair of interfaces limits what it receives, the other
 * end, in its network, what it sends. No container has the right to change its own end (CAP_NET_ADMIN).
 */
import type { BandwidthLimit, ContainerNetwork } from './container-network.js';
import { type ContainerLink, linkNamed } from './container-link.js';
import { inNetwork, inNetworkOf, NamespaceError } from './network-namespace.js';
import { NETLINK_ROUTE, NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';
import { listRates, type RateLimit, readRate, removeRate, setRate } from './netlink/qdisc-messages.js';

export const CONTAINER_END = 'eth0';

type Rated = Pick<ContainerLink, 'interface'> & Pick<ContainerNetwork, 'containerId' | 'bandwidth'>;

/** Sets both ends. @param namespace path of the container's network namespace @throws NetlinkError, NamespaceError */
export function limitBothEnds(host: NetlinkSocket, link: Rated, namespace: string): void {
  limitHostEnd(host, link);
  const { sendBitsPerSecond } = link.bandwidth ?? {};
  inNetwork(namespace, () => {
    const socket = new NetlinkSocket(NETLINK_ROUTE);
    try {
      limit(socket, CONTAINER_END, sendBitsPerSecond);
    } finally {
      socket.close();
    }
  });
}

export function limitHostEnd(host: NetlinkSocket, { interface: name, bandwidth }: Rated): void {
  limit(host, name, bandwidth?.receiveBitsPerSecond);
}

/** Sets the limits of host's ends that are not as they should be. @returns the containers whose limit was set */
export function mendHostEnds(
  host: NetlinkSocket,
  links: readonly Rated[],
  indexes: ReadonlyMap<string, number>,
): string[] {
  const rates = ratesOf(host);
  return links.flatMap((link) => {
    const index = indexes.get(link.interface);
    if (index === undefined || isRate(rates.get(index), link.bandwidth?.receiveBitsPerSecond)) return [];
    limitHostEnd(host, link);
    return [link.containerId];
  });
}

function limit(socket: NetlinkSocket, name: string, bitsPerSecond: number | undefined): void {
  const index = linkNamed(socket, name)?.index;
  if (index === undefined) return;
  if (bitsPerSecond !== undefined) {
    socket.change(setRate(index, bitsPerSecond), `limit ${name} to ${bitsPerSecond} bit/s`);
    return;
  }
  try {
    socket.change(removeRate(index), `take the limit from ${name}`);
  } catch (error) {
    // There was none.
    if (!(error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'EINVAL'))) throw error;
  }
}

/** Of the interfaces of this thread's network, by index. */
export function ratesOf(socket: NetlinkSocket): ReadonlyMap<number, RateLimit> {
  const found = socket
    .ask(listRates(), 'list the limits of interfaces')
    .flatMap((received) => readRate(received) ?? []);
  return new Map(found.map((rate) => [rate.index, rate]));
}

/** Of the container's own end; undefined: it has none, or has just ended. */
export function ownRateOf(pid: number): RateLimit | undefined {
  try {
    return inNetworkOf(pid, () => {
      const socket = new NetlinkSocket(NETLINK_ROUTE);
      try {
        return ratesOf(socket).get(linkNamed(socket, CONTAINER_END)?.index ?? -1);
      } finally {
        socket.close();
      }
    });
  } catch (error) {
    if (error instanceof NamespaceError) return undefined;
    throw error;
  }
}

/** What the kernel keeps is whole bytes. */
export function isRate(found: RateLimit | undefined, wanted: number | undefined): boolean {
  return (found?.bitsPerSecond ?? 0) === Math.floor((wanted ?? 0) / 8) * 8;
}

export function sameBandwidth(one: BandwidthLimit | undefined, other: BandwidthLimit | undefined): boolean {
  return (
    one?.receiveBitsPerSecond === other?.receiveBitsPerSecond && one?.sendBitsPerSecond === other?.sendBitsPerSecond
  );
}
