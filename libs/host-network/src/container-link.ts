/**
 * The pair of interfaces of one container: one end in its network namespace as `eth0`, the other on the host. Addresses
 * are routed, not bridged: each end has one neighbour, which is known for ever, so nothing is asked by ARP or neighbour
 * discovery and no answer counts.
 */
import { hardwareAddress } from './address.js';
import { GATEWAY4, GATEWAY6 } from './container-network.js';
import { settleContainer, usesIpv6 } from './kernel-settings.js';
import { inNetwork, NamespaceError } from './network-namespace.js';
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
  setHardwareAddress,
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
/** Stands for the address of a container that is not known yet. */
const UNKNOWN = '0.0.0.0';

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
  inNetwork(namespace, () => withSocket((socket) => removeLink(socket, CONTAINER_END)));
}

/** A pair that no container has yet. */
export interface PreparedLink {
  readonly interface: string;
  readonly mtu: number | undefined;
  /** Whether interfaces had IPv6 when it was made. */
  readonly ipv6: boolean;
  readonly hostIndex: number;
  readonly hostEnd: Buffer;
  readonly containerIndex: number;
}

/**
 * What of {@link makeContainerLink} depends on no container.
 * @param name of the host's end
 * @throws NetlinkError, NamespaceError; nothing of the pair is left
 */
export function makePreparedLink(host: NetlinkSocket, name: string, namespace: string, mtu?: number): PreparedLink {
  const ends = { host: hardwareAddress(UNKNOWN, 'host'), container: hardwareAddress(UNKNOWN, 'container') };
  const ipv6 = usesIpv6();
  return inNetwork(namespace, (descriptor) => {
    const peer = { name: CONTAINER_END, hardwareAddress: ends.container, namespace: descriptor };
    host.change(
      makePair({ name, hardwareAddress: ends.host, mtu, peer }),
      `make the pair of interfaces ${name} and ${CONTAINER_END}`,
    );
    try {
      const containerIndex = withSocket((socket) => {
        const index = linkNamed(socket, CONTAINER_END)?.index ?? 0;
        socket.ensure([...upSteps(index), ...routeSteps(index, ipv6)], `set up ${CONTAINER_END}`);
        settleContainer(CONTAINER_END);
        return index;
      });
      const hostIndex = linkNamed(host, name)?.index ?? 0;
      const gateway = ipv6 ? [addAddress(hostIndex, GATEWAY6)] : [];
      host.ensure([configureLink(hostIndex), setLinkUp(hostIndex), ...gateway], `set up ${name}`);
      return { interface: name, mtu, ipv6, hostIndex, hostEnd: ends.host, containerIndex };
    } catch (error) {
      removeLink(host, name);
      throw error;
    }
  });
}

/** The rest. @throws NetlinkError: ENODEV when it is gone; NamespaceError */
export function setUpPreparedLink(
  host: NetlinkSocket,
  { hostIndex, containerIndex, hostEnd, ipv6 }: PreparedLink,
  link: ContainerLink,
  namespace: string,
  containerEnd: Buffer,
): void {
  const steps = [
    setHardwareAddress(containerIndex, containerEnd),
    ...addressSteps(containerIndex, link, hostEnd, ipv6),
  ];
  inNetwork(namespace, () =>
    withSocket((socket) => socket.ensure(steps, `set up ${CONTAINER_END} with ${link.ipv4} and ${link.ipv6}`)),
  );
  host.ensure(
    [configureLink(hostIndex, link.containerId), ...hostSteps(hostIndex, link, containerEnd, ipv6)],
    `set up ${link.interface} for ${link.ipv4} and ${link.ipv6}`,
  );
}

function setUpContainerEnd(link: ContainerLink, hostEnd: Buffer): void {
  withSocket((socket) => {
    const index = linkNamed(socket, CONTAINER_END)?.index ?? 0;
    const ipv6 = usesIpv6();
    const steps = [...upSteps(index), ...addressSteps(index, link, hostEnd, ipv6), ...routeSteps(index, ipv6)];
    socket.ensure(steps, `set up ${CONTAINER_END} with ${link.ipv4} and ${link.ipv6}`);
    settleContainer(CONTAINER_END);
  });
}

const upSteps = (index: number): Message[] => [setLinkUp(LOOPBACK), configureLink(index), setLinkUp(index)];

function addressSteps(index: number, link: ContainerLink, hostEnd: Buffer, ipv6: boolean): Message[] {
  return [
    addAddress(index, link.ipv4),
    addNeighbour(index, GATEWAY4, hostEnd),
    ...(ipv6 ? [addAddress(index, link.ipv6), addNeighbour(index, GATEWAY6, hostEnd)] : []),
  ];
}

function routeSteps(index: number, ipv6: boolean): Message[] {
  return [
    addRoute({ index, to: GATEWAY4, family: 4 }),
    addRoute({ index, via: GATEWAY4, family: 4 }),
    ...(ipv6 ? [addRoute({ index, via: GATEWAY6, family: 6 })] : []),
  ];
}

function hostSteps(index: number, link: ContainerLink, containerEnd: Buffer, ipv6: boolean): Message[] {
  return [
    addNeighbour(index, link.ipv4, containerEnd),
    addRoute({ index, to: link.ipv4, family: 4 }),
    ...(ipv6 ? [addNeighbour(index, link.ipv6, containerEnd), addRoute({ index, to: link.ipv6, family: 6 })] : []),
  ];
}

/** Of the network that this thread is in. */
function withSocket<T>(work: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}

/**
 * Number of the host's end of the pair that a network has; undefined: it has none, or its process has ended.
 * @throws NetlinkError
 */
export function hostEndOf(namespace: string): number | undefined {
  try {
    return inNetwork(namespace, () => withSocket((socket) => linkNamed(socket, CONTAINER_END)?.peerIndex));
  } catch (error) {
    if (error instanceof NamespaceError) return undefined;
    throw error;
  }
}

/** Idempotent: also mends routes and neighbours that another program has removed. */
export function setUpHostEnd(host: NetlinkSocket, link: ContainerLink, containerEnd?: Buffer): void {
  const index = linkNamed(host, link.interface)?.index;
  if (index === undefined) return;
  const to = containerEnd ?? hardwareAddress(link.ipv4, 'container');
  const ipv6 = usesIpv6();
  const steps = [
    configureLink(index, link.containerId),
    setLinkUp(index),
    ...(ipv6 ? [addAddress(index, GATEWAY6)] : []),
    ...hostSteps(index, link, to, ipv6),
  ];
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
