/**
 * Connections that the kernel tracks for a container or a published port, and which must not outlive it: packets of a
 * connection go where its first one went, whatever the rules are now.
 */
import { networkInterfaces } from 'node:os';
import { canonicalAddress, familyOf, type Family } from './address.js';
import type { ContainerNetwork, PublishedPort } from './container-network.js';
import {
  countTracked,
  listAllTracked,
  listTracked,
  protocolNumber,
  readTracked,
  readTrackedCount,
  removeTracked,
  type TrackedBy,
  type TrackedConnection,
} from './netlink/conntrack-messages.js';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from './netlink/netlink-socket.js';

type Addressed = Pick<ContainerNetwork, 'ipv4' | 'ipv6'>;
const FAMILIES: readonly Family[] = [4, 6];

/**
 * The kernel walks through its whole table for each list that it is asked for, some 10 ms: a list of all connections is
 * cheaper while there are fewer than this for each container that is looked for.
 */
const FEW = 8_000;

/** Containers that are gone, and whose connections are looked for at once. */
interface Round {
  readonly sources: Set<string>;
  readonly done: Promise<void>;
}

export class TrackedConnections {
  private readonly socket = new NetlinkSocket(NETLINK_NETFILTER);
  /** For lists that are made in the pool's threads. */
  private readonly lists = new NetlinkSocket(NETLINK_NETFILTER);
  /** The kernel can't be asked: they end with their timeouts. */
  private isMissing = false;
  /** The round in progress, and the one after it. */
  private last: Promise<void> = Promise.resolve();
  private next: Round | undefined;
  private isClosed = false;

  /**
   * All of a container that is gone. The list is made in threads of the pool, once for all containers that are waiting.
   * Resolves when none of its connections is left.
   */
  forget(container: Addressed): Promise<void> {
    if (this.isMissing) return Promise.resolve();
    if (this.next === undefined) {
      const sources = new Set<string>();
      const done = this.last.then(() => {
        this.next = undefined;
        return this.forgetAll(sources);
      });
      this.next = { sources, done };
      // A failure is that of the callers; the next round begins all the same.
      this.last = done.catch(() => undefined);
    }
    for (const address of [container.ipv4, container.ipv6]) this.next.sources.add(canonicalAddress(address));
    return this.next.done;
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

  /** Lists that are being made are awaited: their socket must not become something else's. */
  close(): void {
    this.isClosed = true;
    this.socket.close();
    void this.last.then(() => this.lists.close());
  }

  private async forgetAll(sources: ReadonlySet<string>): Promise<void> {
    if (this.isClosed) return;
    const count = this.count();
    if (count === 0) return;
    const requests =
      count <= (FEW * sources.size) / FAMILIES.length
        ? [listAllTracked()]
        : [...sources].flatMap((source) =>
            (['original', 'reply'] as const).map((side) => listTracked({ family: familyOf(source), side, source })),
          );
    for (const request of requests) {
      if (this.isClosed) return;
      try {
        const found = await this.lists.askLater(request, 'list tracked connections');
        if (this.isClosed) return;
        for (const connection of found.flatMap((received) => readTracked(received) ?? []))
          if (sources.has(connection.original.source) || sources.has(connection.reply.source))
            this.removeOne(connection);
      } catch (error) {
        this.missing(error);
        return;
      }
    }
  }

  private count(): number {
    try {
      const [answer] = this.socket.ask(countTracked(), 'count tracked connections');
      return answer === undefined ? Infinity : readTrackedCount(answer);
    } catch (error) {
      this.missing(error);
      return 0;
    }
  }

  private remove(by: TrackedBy, fits: (found: TrackedConnection) => boolean): void {
    if (this.isMissing) return;
    try {
      const found = this.socket
        .ask(listTracked(by), 'list tracked connections')
        .flatMap((received) => readTracked(received) ?? [])
        .filter(fits);
      for (const connection of found) this.removeOne(connection);
    } catch (error) {
      this.missing(error);
    }
  }

  /** Without the kernel's part for it (nf_conntrack_netlink) there is no such family of messages. */
  private missing(error: unknown): void {
    if (!(error instanceof NetlinkError && (error.code === 'EINVAL' || error.code === 'EOPNOTSUPP'))) throw error;
    this.isMissing = true;
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
