/** The interfaces of an agent's containers, as the host has them. */
import { hostEndOf, linksWith } from './container-link.js';
import { networkOfProcess } from './network-namespace.js';
import type { RunningNetwork } from './placed-containers.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import type { Link, LinkCounters } from './netlink/route-messages.js';
import type { AttachedNetwork } from './nft/elements.js';

export class OwnInterfaces {
  constructor(
    private readonly route: NetlinkSocket,
    private readonly prefix: string,
  ) {}

  /** Also of containers that have just ended. */
  all(): Link[] {
    return linksWith(this.route, this.prefix);
  }

  /** One that has been started again may have two for a moment: that of a run before this one has not ended yet. */
  byContainer(): ReadonlyMap<string, readonly Link[]> {
    const found = new Map<string, Link[]>();
    for (const link of this.all())
      if (link.alias !== undefined) found.set(link.alias, [...(found.get(link.alias) ?? []), link]);
    return found;
  }

  /** Of a container that runs. @param links as {@link byContainer} has them */
  nameOf({ pid }: RunningNetwork, links: readonly Link[] = []): string | undefined {
    if (links.length < 2) return links[0]?.name;
    const index = hostEndOf(networkOfProcess(pid));
    return links.find((link) => link.index === index)?.name;
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
