/**
 * Connections that the kernel tracks for a container or a published port, and which must not outlive it: packets of a
 * connection go where its first one went, whatever the rules are now.
 */
import { networkInterfaces } from 'node:os';
import { canonicalAddress, familyOf, type Family } from './address.js';
import type { ContainerNetwork, PublishedPort } from './container-network.js';
import {
  listTracked,
  protocolNumber,
  readTracked,
  removeTracked,
  type TrackedBy,
  type TrackedConnection,
} from './netlink/conntrack-messages.js';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';

type Addressed = Pick<ContainerNetwork, 'ipv4' | 'ipv6'>;
const FAMILIES: readonly Family[] = [4, 6];

export class TrackedConnections {
  private readonly socket = new NetlinkSocket(NETLINK_NETFILTER);
  /** The kernel can't be asked: they end with their timeouts. */
  private isMissing = false;

  /** All of a container that is gone. */
  forget(container: Addressed): void {
    for (const family of FAMILIES) {
      const source = canonicalAddress(family === 4 ? container.ipv4 : container.ipv6);
      for (const side of ['original', 'reply'] as const)
        this.remove({ family, side, source }, (found) => found[side].source === source);
    }
  }

  /** Those that a port led to the container. */
  forgetPorts(container: Addressed, ports: readonly PublishedPort[]): void {
    if (ports.length === 0) return;
    for (const family of FAMILIES) {
      const source = canonicalAddress(family === 4 ? container.ipv4 : container.ipv6);
      this.remove(
        { family, side: 'reply', source },
        ({ original, reply }) =>
          reply.source === source &&
          original.destination !== source &&
          ports.some((port) => isTo(port, original.protocol, original.destinationPort, original.destination)),
      );
    }
  }

  /**
   * Those of UDP that went to a port before it was published, or to its last container: a sender that does not pause
   * would never reach the new one. A connection of TCP ends by itself.
   */
  forgetEarlier(container: Addressed, ports: readonly PublishedPort[]): void {
    const udp = ports.filter(({ protocol }) => protocol === 'udp');
    if (udp.length === 0) return;
    const own = [canonicalAddress(container.ipv4), canonicalAddress(container.ipv6)];
    const here = new Set(
      Object.values(networkInterfaces()).flatMap((each) =>
        (each ?? []).map(({ address }) => canonicalAddress(address)),
      ),
    );
    for (const port of udp)
      for (const family of FAMILIES)
        this.remove(
          { family, protocol: 'udp', destinationPort: port.hostPort },
          ({ original, reply }) =>
            here.has(original.destination) &&
            !own.includes(reply.source) &&
            isTo(port, original.protocol, original.destinationPort, original.destination),
        );
  }

  close(): void {
    this.socket.close();
  }

  private remove(by: TrackedBy, fits: (found: TrackedConnection) => boolean): void {
    if (this.isMissing) return;
    try {
      const found = this.socket
        .ask(listTracked(by), 'list tracked connections')
        .flatMap((received) => readTracked(by.family, received) ?? [])
        .filter(fits);
      for (const connection of found) this.removeOne(connection);
    } catch (error) {
      // Without the kernel's part for it (nf_conntrack_netlink) there is no such family of messages.
      if (!(error instanceof NetlinkError && (error.code === 'EINVAL' || error.code === 'EOPNOTSUPP'))) throw error;
      this.isMissing = true;
    }
  }

  private removeOne(connection: TrackedConnection): void {
    try {
      this.socket.change(removeTracked(connection), 'remove a tracked connection');
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error;
    }
  }
}

function isTo(
  { protocol, hostPort, hostAddress }: PublishedPort,
  number: number,
  port: number | undefined,
  destination: string,
): boolean {
  if (number !== protocolNumber(protocol) || port !== hostPort) return false;
  const at = hostAddress === undefined ? undefined : canonicalAddress(hostAddress);
  if (at === undefined) return true;
  return at === '0.0.0.0' || at === '::' ? familyOf(at) === familyOf(destination) : at === destination;
}
