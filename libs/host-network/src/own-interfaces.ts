/** The interfaces of an agent's containers, as the host has them. */
import { linksWith } from './container-link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import type { LinkCounters } from './netlink/route-messages.js';
import type { AttachedNetwork } from './nft/elements.js';

export class OwnInterfaces {
  constructor(
    private readonly route: NetlinkSocket,
    private readonly prefix: string,
  ) {}

  /** Also of containers that have just ended. */
  all(): ReturnType<typeof linksWith> {
    return linksWith(this.route, this.prefix);
  }

  byContainer(): ReadonlyMap<string, string> {
    const links = this.all().sort((a, b) => a.index - b.index);
    // The last one of a container is that of its present run: one before it may not have ended yet.
    return new Map(links.flatMap(({ name, alias }) => (alias === undefined ? [] : [[alias, name] as const])));
  }

  indexes(): ReadonlyMap<string, number> {
    return new Map(this.all().map(({ name, index }) => [name, index]));
  }

  /** As the containers count; one without an interface is absent. */
  counters(attached: readonly AttachedNetwork[]): ReadonlyMap<string, LinkCounters> {
    const links = new Map(this.all().map(({ name, counters }) => [name, counters]));
    return new Map(
      attached.flatMap(({ containerId, interface: name }) => {
        const host = links.get(name);
        if (host === undefined) return [];
        // What the host's end has received the container has sent.
        const { receivedBytes, receivedPackets, sentBytes, sentPackets } = host;
        const counted = {
          receivedBytes: sentBytes,
          receivedPackets: sentPackets,
          sentBytes: receivedBytes,
          sentPackets: receivedPackets,
        };
        return [[containerId, counted] as const];
      }),
    );
  }
}
