/**
 * The pair of interfaces of one container: one end in its network namespace as `eth0`, the other on the host. Addresses
 * are routed, not bridged: each end has one neighbour, which is known for ever, so nothing is asked by ARP or neighbour
 * discovery and no answer counts.
 */
import { hardwareAddress } from './address.js';
import { GATEWAY4, GATEWAY6 } from './container-network.js';
import { settleContainer, usesIpv6 } from './kernel-settings.js';
import { inNetwork } from './network-namespace.js';
import { NETLINK_ROUTE, NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';
import type { Message } from './netlink/message.js';
import {
  addAddress,
  addNeighbour,
  addRoute,
  configureLink,
  deleteLink,
  getLink,
  type Link,
  listLinks,
  makePair,
  readLink,
  setLinkUp,
} from './netlink/route-messages.js';

export interface ContainerLink {
  readonly interface: string;
  /** Kept by the kernel with the host's end. */
  readonly containerId: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

const CONTAINER_END = 'eth0';
const LOOPBACK = 1;

/**
 * Makes both ends and everything that leads to them.
 * @param namespace path of the container's network namespace
 * @param mtu absent: the kernel's choice
 * @throws NetlinkError, NamespaceError; nothing of the pair is left
 */
export function makeContainerLink(host: NetlinkSocket, link: ContainerLink, namespace: string, mtu?: number): void {
  const ends = {
    host: hardwareAddress(link.ipv4, 'host'),
    container: hardwareAddress(link.ipv4, 'container'),
  };
  inNetwork(namespace, (descriptor) => {
    const peer = { name: CONTAINER_END, hardwareAddress: ends.container, namespace: descriptor };
    host.change(
      makePair({ name: link.interface, hardwareAddress: ends.host, mtu, peer }),
      `make the pair of interfaces ${link.interface} and ${CONTAINER_END}`,
    );
    try {
      // The container's end is finished first: what arrives there is not asked for before.
      setUpContainerEnd(link, ends.host);
    } catch (error) {
      removeLink(host, link.interface);
      throw error;
    }
  });
  try {
    setUpHostEnd(host, link, ends.container);
  } catch (error) {
    removeLink(host, link.interface);
    throw error;
  }
}

/**
 * Of a container that runs and has no interface here: its end may lead into a network that this host had before.
 * @throws NetlinkError, NamespaceError
 */
export function discardContainerEnd(namespace: string): void {
  inNetwork(namespace, () => {
    const socket = new NetlinkSocket(NETLINK_ROUTE);
    try {
      removeLink(socket, CONTAINER_END);
    } finally {
      socket.close();
    }
  });
}

function setUpContainerEnd(link: ContainerLink, hostEnd: Buffer): void {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  try {
    const index = linkNamed(socket, CONTAINER_END)?.index ?? 0;
    const steps: Message[] = [
      setLinkUp(LOOPBACK),
      configureLink(index),
      setLinkUp(index),
      addAddress(index, link.ipv4),
      addNeighbour(index, GATEWAY4, hostEnd),
      addRoute({ index, to: GATEWAY4, family: 4 }),
      addRoute({ index, via: GATEWAY4, family: 4 }),
    ];
    if (usesIpv6()) {
      steps.push(
        addAddress(index, link.ipv6),
        addNeighbour(index, GATEWAY6, hostEnd),
        addRoute({ index, via: GATEWAY6, family: 6 }),
      );
    }
    socket.ensure(steps, `set up ${CONTAINER_END} with ${link.ipv4} and ${link.ipv6}`);
    settleContainer(CONTAINER_END);
  } finally {
    socket.close();
  }
}

/** Idempotent: also mends routes and neighbours that another program has removed. */
export function setUpHostEnd(host: NetlinkSocket, link: ContainerLink, containerEnd?: Buffer): void {
  const index = linkNamed(host, link.interface)?.index;
  if (index === undefined) return;
  const to = containerEnd ?? hardwareAddress(link.ipv4, 'container');
  const steps = [
    configureLink(index, link.containerId),
    setLinkUp(index),
    addNeighbour(index, link.ipv4, to),
    addRoute({ index, to: link.ipv4, family: 4 }),
  ];
  if (usesIpv6()) {
    steps.push(
      addAddress(index, GATEWAY6),
      addNeighbour(index, link.ipv6, to),
      addRoute({ index, to: link.ipv6, family: 6 }),
    );
  }
  host.ensure(steps, `set up ${link.interface} for ${link.ipv4} and ${link.ipv6}`);
}

export function linkNamed(socket: NetlinkSocket, name: string): Link | undefined {
  try {
    return socket.ask(getLink(name), `show the interface ${name}`).map(readLink)[0];
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined;
    throw error;
  }
}

/** All that begin so. */
export function linksWith(socket: NetlinkSocket, prefix: string): Link[] {
  return socket
    .ask(listLinks(), 'list the interfaces')
    .flatMap((received) => readLink(received) ?? [])
    .filter(({ name }) => name.startsWith(prefix));
}

/** Both ends; also when they are gone. */
export function removeLink(socket: NetlinkSocket, name: string): void {
  try {
    socket.change(deleteLink(name), `remove the interface ${name}`);
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'ENODEV')) throw error;
  }
}
