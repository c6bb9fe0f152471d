/** Routes of the host that a network of containers must not overlap. */
import { overlap, parseNetwork } from './address.js';
import { linksWith } from './container-link.js';
import { ANY_PREFIX } from './container-network.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
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
