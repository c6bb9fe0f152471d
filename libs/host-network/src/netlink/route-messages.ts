/** What is asked of rtnetlink(7), as messages; and what it answers about links and routes. Pure. */
import { addressBytes, addressText, type AddressRange, type Family } from '../address.js';
import {
  decodeAttributes,
  encodeAttributes,
  type Message,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Received,
  text,
  textOf,
  u32,
  u8,
} from './message.js';
import * as rt from './rtnetlink.js';

/** linux/rtnetlink.h */
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_DELADDR = 21;
const RTM_GETROUTE = 26;
const RT_TABLE_LOCAL = 255;
const RTPROT_STATIC = 4;
const SCOPE_LINK = 253;
/** linux/if_link.h */
const IFLA_LINK = 5;
const IFLA_STATS64 = 23;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const VETH_INFO_PEER = 1;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_NONE = 1;
const IFF_UP = 1;
/** linux/if_addr.h, struct ifa_cacheinfo: no preferred lifetime, valid for ever; RFC 6724 prefers every other address as a source. */
const IFA_CACHEINFO = 6;
const DEPRECATED = Buffer.concat([u32(0), u32(0xffffffff), u32(0), u32(0)]);
const IFA_F_NODAD = 0x02;

const familyIn = (address: string): Family => (address.includes(':') ? 6 : 4);

/** `struct ifinfomsg` */
function linkBody({ index = 0, flags = 0, change = 0 }: { index?: number; flags?: number; change?: number }): Buffer {
  const body = Buffer.alloc(16);
  body.writeInt32LE(index, 4);
  body.writeUInt32LE(flags, 8);
  body.writeUInt32LE(change, 12);
  return body;
}

/** No address that the kernel makes: nothing is sent that no program asked for. */
const withoutOwnAddress = rt.attribute(IFLA_AF_SPEC, [
  rt.attribute(rt.AF_INET6, [rt.attribute(IFLA_INET6_ADDR_GEN_MODE, u8(ADDR_GEN_NONE))]),
]);

export interface Pair {
  readonly name: string;
  readonly hardwareAddress: Buffer;
  readonly mtu?: number;
  readonly peer: {
    readonly name: string;
    readonly hardwareAddress: Buffer;
    /** Descriptor of the network namespace in which this end is made. */
    readonly namespace: number;
  };
}

/** Both ends are down: the kernel refuses a peer that is made up (ENOTCONN). */
export function makePair({ name, hardwareAddress, mtu, peer }: Pair): Message {
  const size = mtu === undefined ? [] : [rt.attribute(rt.IFLA_MTU, u32(mtu))];
  // The payload of VETH_INFO_PEER is a body and attributes.
  const peerAttributes = [
    rt.attribute(rt.IFLA_IFNAME, text(peer.name)),
    rt.attribute(rt.IFLA_ADDRESS, peer.hardwareAddress),
    ...size,
    rt.attribute(IFLA_NET_NS_FD, u32(peer.namespace)),
  ];
  return {
    type: rt.RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: linkBody({}),
    attributes: [
      rt.attribute(rt.IFLA_IFNAME, text(name)),
      rt.attribute(rt.IFLA_ADDRESS, hardwareAddress),
      ...size,
      rt.attribute(rt.IFLA_LINKINFO, [
        rt.attribute(rt.IFLA_INFO_KIND, text('veth')),
        rt.attribute(rt.IFLA_INFO_DATA, [
          rt.attribute(VETH_INFO_PEER, Buffer.concat([linkBody({}), encodeAttributes(peerAttributes)])),
        ]),
      ]),
    ],
  };
}

/**
 * Before the link is set up.
 * @param alias a text that the kernel keeps with the link and `ip link` shows
 */
export function configureLink(index: number, alias?: string): Message {
  return {
    type: rt.RTM_NEWLINK,
    flags: 0,
    body: linkBody({ index }),
    attributes: [
      ...(alias === undefined ? [] : [rt.attribute(rt.IFLA_IFALIAS, Buffer.from(alias, 'utf8'))]),
      withoutOwnAddress,
    ],
  };
}

/** Also of a link that is up. It forgets its neighbours. */
export function setHardwareAddress(index: number, hardwareAddress: Buffer): Message {
  const attributes = [rt.attribute(rt.IFLA_ADDRESS, hardwareAddress)];
  return { type: rt.RTM_NEWLINK, flags: 0, body: linkBody({ index }), attributes };
}

export function setLinkUp(index: number): Message {
  return { type: rt.RTM_NEWLINK, flags: 0, body: linkBody({ index, flags: IFF_UP, change: IFF_UP }), attributes: [] };
}

export function deleteLink(name: string): Message {
  return { type: RTM_DELLINK, flags: 0, body: linkBody({}), attributes: [rt.attribute(rt.IFLA_IFNAME, text(name))] };
}

export function getLink(name: string): Message {
  return { type: RTM_GETLINK, flags: 0, body: linkBody({}), attributes: [rt.attribute(rt.IFLA_IFNAME, text(name))] };
}

export function listLinks(): Message {
  return { type: RTM_GETLINK, flags: NLM_F_DUMP, body: linkBody({}), attributes: [] };
}

function addressMessage(type: number, flags: number, index: number, address: string, scope: number): Message {
  const family = familyIn(address);
  const bytes = addressBytes(address);
  return {
    type,
    flags,
    // struct ifaddrmsg
    body: Buffer.concat([
      Buffer.from([rt.familyNumber(family), rt.FULL[family], family === 6 ? IFA_F_NODAD : 0, scope]),
      u32(index),
    ]),
    attributes: [
      rt.attribute(rt.IFA_LOCAL, bytes),
      rt.attribute(rt.IFA_ADDRESS, bytes),
      ...(family === 6 && scope === SCOPE_LINK ? [rt.attribute(IFA_CACHEINFO, DEPRECATED)] : []),
    ],
  };
}

/**
 * One address without a network, an IPv6 address without the search for its duplicate; EEXIST when it is there.
 * @param scope `link`: it is the source of nothing that the host sends elsewhere, as far as it has another
 */
export function addAddress(index: number, address: string, scope: 'global' | 'link' = 'global'): Message {
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  return addressMessage(rt.RTM_NEWADDR, flags, index, address, scope === 'link' ? SCOPE_LINK : rt.SCOPE_UNIVERSE);
}

export function removeAddress(index: number, address: string): Message {
  return addressMessage(RTM_DELADDR, 0, index, address, rt.SCOPE_UNIVERSE);
}

export interface Route {
  readonly index: number;
  /** One address; absent: the default route. */
  readonly to?: string;
  /** Absent: what is on the link itself. */
  readonly via?: string;
  /** Needed when neither of them is there. */
  readonly family: Family;
}

/** Replaces a route to the same destination. */
export function addRoute({ index, to, via, family }: Route): Message {
  const scope = family === 4 && via === undefined ? SCOPE_LINK : rt.SCOPE_UNIVERSE;
  const body = Buffer.alloc(12);
  body[0] = rt.familyNumber(family);
  body[1] = to === undefined ? 0 : rt.FULL[family];
  body[4] = rt.RT_TABLE_MAIN;
  body[5] = RTPROT_STATIC;
  body[6] = scope;
  body[7] = rt.RTN_UNICAST;
  return {
    type: rt.RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body,
    attributes: [
      ...(to === undefined ? [] : [rt.attribute(rt.RTA_DST, addressBytes(to))]),
      ...(via === undefined ? [] : [rt.attribute(rt.RTA_GATEWAY, addressBytes(via))]),
      rt.attribute(rt.RTA_OIF, u32(index)),
    ],
  };
}

export function listRoutes(family: Family): Message {
  const body = Buffer.alloc(12);
  body[0] = rt.familyNumber(family);
  return { type: RTM_GETROUTE, flags: NLM_F_DUMP, body, attributes: [] };
}

/** An entry that never ages: nobody is asked, and no answer changes it. */
export function addNeighbour(index: number, address: string, hardwareAddress: Buffer): Message {
  const body = Buffer.alloc(12);
  body[0] = rt.familyNumber(familyIn(address));
  body.writeInt32LE(index, 4);
  body.writeUInt16LE(rt.NUD_PERMANENT, 8);
  return {
    type: rt.RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    body,
    attributes: [rt.attribute(rt.NDA_DST, addressBytes(address)), rt.attribute(rt.NDA_LLADDR, hardwareAddress)],
  };
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly alias?: string;
  /** Of a pair: the other end, as its network numbers it. */
  readonly peerIndex?: number;
  /** Since it was made; received and sent as its own end counts them. */
  readonly counters: LinkCounters;
}

export interface LinkCounters {
  readonly receivedPackets: number;
  readonly sentPackets: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export function readLink({ type, payload }: Received): Link | undefined {
  if (type !== rt.RTM_NEWLINK || payload.length < rt.LINK_BODY_BYTES) return undefined;
  const attributes = decodeAttributes(payload.subarray(rt.LINK_BODY_BYTES));
  const stats = attributes.get(IFLA_STATS64);
  const counter = (at: number): number =>
    stats && stats.length >= at * 8 + 8 ? Number(stats.readBigUInt64LE(at * 8)) : 0;
  return {
    index: payload.readInt32LE(4),
    name: textOf(attributes.get(rt.IFLA_IFNAME)) ?? '',
    alias: textOf(attributes.get(rt.IFLA_IFALIAS)),
    peerIndex: attributes.get(IFLA_LINK)?.readInt32LE(0),
    counters: {
      receivedPackets: counter(0),
      sentPackets: counter(1),
      receivedBytes: counter(2),
      sentBytes: counter(3),
    },
  };
}

/** A route of the main table, or an address of the host: a route of the local table. */
export interface FoundRoute extends AddressRange {
  readonly prefix: number;
  /** 0: it leads to no interface. */
  readonly index: number;
  /** Number of what made it. */
  readonly protocol: number;
}

export function readRoute({ type, payload }: Received): FoundRoute | undefined {
  if (type !== rt.RTM_NEWROUTE || payload.length < rt.ROUTE_BODY_BYTES) return undefined;
  const family: Family = payload[0] === rt.AF_INET6 ? 6 : 4;
  const prefix = payload[1] ?? 0;
  const attributes = decodeAttributes(payload.subarray(rt.ROUTE_BODY_BYTES));
  const table = attributes.get(rt.RTA_TABLE)?.readUInt32LE(0) ?? payload[4];
  if (table !== rt.RT_TABLE_MAIN && table !== RT_TABLE_LOCAL) return undefined;
  const to = attributes.get(rt.RTA_DST);
  const first = to === undefined ? 0n : BigInt(`0x${to.toString('hex')}`);
  const last = first + (1n << BigInt(rt.FULL[family] - prefix)) - 1n;
  const index = attributes.get(rt.RTA_OIF)?.readInt32LE(0) ?? 0;
  return { family, prefix, first, last, index, protocol: payload[5] ?? 0 };
}

/** e.g. `10.0.0.0/8` */
export function routeText({ family, first, prefix }: FoundRoute): string {
  return `${addressText(family, first)}/${prefix}`;
}
