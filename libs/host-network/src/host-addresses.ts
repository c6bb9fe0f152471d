/** What all agents of a machine share while any of them has containers: forwarding, and addresses of the loopback. */
import { linksWith } from './container-link.js';
import { ANY_PREFIX, GATEWAY4, RESOLVER6 } from './container-network.js';
import { enableForwarding, hasIpv6, lookAtIpv6 } from './kernel-settings.js';
import { NetlinkError, type NetlinkSocket } from './netlink/netlink-socket.js';
import { addAddress, removeAddress } from './netlink/route-messages.js';

const LOOPBACK = 1;

/** @returns what was changed of the host's settings */
export function prepareHost(route: NetlinkSocket): string[] {
  const ipv6 = lookAtIpv6();
  const changed = enableForwarding();
  // Of the link's scope, so that it is the source of nothing that the host sends elsewhere.
  // Before that of IPv4, for which the resolver waits.
  if (ipv6) route.ensure([addAddress(LOOPBACK, RESOLVER6, 'link')], `give ${RESOLVER6} to lo`);
  route.ensure([addAddress(LOOPBACK, GATEWAY4, 'link')], `give ${GATEWAY4} to lo`);
  return changed;
}

/** Takes the addresses away, unless containers of any agent are there. */
export function clearHost(route: NetlinkSocket): void {
  if (linksWith(route, ANY_PREFIX).length > 0) return;
  for (const address of [GATEWAY4, ...(hasIpv6() ? [RESOLVER6] : [])])
    try {
      route.change(removeAddress(LOOPBACK, address), `take ${address} from lo`);
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'EADDRNOTAVAIL')) throw error;
    }
}
