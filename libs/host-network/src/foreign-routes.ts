/** Routes and addresses of the host that a network of containers must not overlap. */
import { overlap, parseNetwork } from './address.js';
import { linksWith } from './container-link.js';
import { ANY_PREFIX } from './container-network.js';
import { NETLINK_ROUTE, NetlinkSocket } from './netlink/netlink-socket.js';
import { listRoutes, readRoute, routeText } from './netlink/route-messages.js';
import { ROUTE_PROTOCOL } from './netlink/tunnel-messages.js';

/** A route that leads into a network of containers; undefined: none. */
export function foreignRouteInto(socket: NetlinkSocket, pool: string): string | undefined {
  const wanted = parseNetwork(pool);
  // Routes before interfaces: one that a container of this machine gets meanwhile is not taken for a foreign one, and
  // one whose interface has gone since is no route any more.
  const candidates = socket
    .ask(listRoutes(wanted.family), 'list the routes')
    .flatMap((received) => readRoute(received) ?? [])
    .filter((route) => route.prefix > 0 && route.protocol !== ROUTE_PROTOCOL && overlap(route, wanted));
  if (candidates.length === 0) return undefined;
  const names = new Map(linksWith(socket, '').map(({ index, name }) => [index, name]));
  const found = candidates.find(({ index }) => {
    const name = names.get(index);
    // Without an interface: it refuses packets, or has several.
    return index === 0 || (name !== undefined && !name.startsWith(ANY_PREFIX));
  });
  return found && routeText(found);
}

/** The networks of containers, by the variable that sets each. */
export interface AddressPools {
  readonly PLINTH_ADDRESS_POOL: string;
  readonly PLINTH_ADDRESS_POOL6: string;
}

export interface PoolOverlap {
  readonly variable: keyof AddressPools;
  readonly pool: string;
  /** In words, with what to do. */
  readonly message: string;
}

/** What of the networks of containers this machine has a use for already. Changes nothing. @param pools valid ones */
export function overlappingPools(pools: AddressPools): readonly PoolOverlap[] {
  const socket = new NetlinkSocket(NETLINK_ROUTE);
  try {
    return (['PLINTH_ADDRESS_POOL', 'PLINTH_ADDRESS_POOL6'] as const).flatMap((variable) => {
      const pool = pools[variable];
      const route = foreignRouteInto(socket, pool);
      if (route === undefined) return [];
      const message =
        `${variable}: ${pool}, the network of the containers, overlaps the route of this host to ${route}; ` +
        `set ${variable} to a network that is free on every host, for the provisioner and all agents`;
      return [{ variable, pool, message }];
    });
  } finally {
    socket.close();
  }
}
