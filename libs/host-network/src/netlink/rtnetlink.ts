/** What several kinds of messages to rtnetlink(7) share: numbers of the kernel, lengths of bodies. */
import type { Family } from '../address.js';
import type { Attribute } from './message.js';

/** linux/rtnetlink.h */
export const RTM_NEWLINK = 16;
export const RTM_NEWADDR = 20;
export const RTM_NEWROUTE = 24;
export const RTM_NEWNEIGH = 28;
export const RT_TABLE_MAIN = 254;
export const RTN_UNICAST = 1;
export const SCOPE_UNIVERSE = 0;
export const RTA_DST = 1;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_TABLE = 15;
/** linux/if_link.h */
export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINKINFO = 18;
export const IFLA_IFALIAS = 20;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
/** linux/if_addr.h */
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
/** linux/neighbour.h */
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NUD_PERMANENT = 0x80;
/** linux/socket.h */
export const AF_INET = 2;
export const AF_INET6 = 10;

export const familyNumber = (family: Family): number => (family === 4 ? AF_INET : AF_INET6);
/** Length of a prefix that is one address. */
export const FULL: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };
/** `struct ifinfomsg` */
export const LINK_BODY_BYTES = 16;
/** `struct rtmsg` */
export const ROUTE_BODY_BYTES = 12;

export const attribute = (type: number, payload: Attribute['payload']): Attribute => ({ type, payload });
