/** What is asked of rtnetlink(7) for containers of other hosts: the tunnel's interface, its hosts, routes. Pure. */
import { addressBytes, addressText, type Family, familyOf } from '../address.js';
import type { RemoteRoute } from '../remote/remote-containers.js';
import {
  decodeAttributes,
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
const RTM_GETADDR = 22;
const RTM_DELROUTE = 25;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
/** Of an IPv4 route that is removed: whichever it has. */
const SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const RTA_PRIORITY = 6;
const RTA_VIA = 18;
/** Marks routes to containers of other hosts; `ip route show proto 112`. No other program uses this number. */
export const ROUTE_PROTOCOL = 112;
/** linux/if_link.h */
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_GBP = 23;
/** linux/neighbour.h */
const NTF_SELF = 2;

const AF_BRIDGE = 7;
const ADDRESS_BODY_BYTES = 8;
const NEIGHBOUR_BODY_BYTES = 12;

const u16be = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};

export interface TunnelLink {
  readonly name: string;
  /** Of the tunnel; the same on all hosts. */
  readonly id: number;
  /** UDP. */
  readonly port: number;
  /** Of this host. */
  readonly local: string;
  readonly mtu: number;
  readonly hardwareAddress: Buffer;
  /** Whom it belongs to. */
  readonly alias: string;
}

/**
 * VXLAN that learns nothing, and takes the mark of a packet along in its header ("group policy"). It is down.
 */
export function makeTunnel({ name, id, port, local, mtu, hardwareAddress }: TunnelLink): Message {
  return {
    type: rt.RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: Buffer.alloc(rt.LINK_BODY_BYTES),
    attributes: [
      rt.attribute(rt.IFLA_IFNAME, text(name)),
      rt.attribute(rt.IFLA_ADDRESS, hardwareAddress),
      rt.attribute(rt.IFLA_MTU, u32(mtu)),
      rt.attribute(rt.IFLA_LINKINFO, [
        rt.attribute(rt.IFLA_INFO_KIND, text('vxlan')),
        rt.attribute(rt.IFLA_INFO_DATA, [
          rt.attribute(IFLA_VXLAN_ID, u32(id)),
          rt.attribute(familyOf(local) === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, addressBytes(local)),
          rt.attribute(IFLA_VXLAN_LEARNING, u8(0)),
          rt.attribute(IFLA_VXLAN_PORT, u16be(port)),
          rt.attribute(IFLA_VXLAN_GBP, Buffer.alloc(0)),
        ]),
      ]),
    ],
  };
}

/** What is found of {@link TunnelLink}; absent where the link is none or was made otherwise. */
export interface FoundTunnel {
  readonly index: number;
  readonly alias: string | undefined;
  readonly mtu: number;
  /** Everything that can't be changed, as text. */
  readonly make: string;
}

export function readTunnel({ type, payload }: Received): FoundTunnel | undefined {
  if (type !== rt.RTM_NEWLINK || payload.length < rt.LINK_BODY_BYTES) return undefined;
  const attributes = decodeAttributes(payload.subarray(rt.LINK_BODY_BYTES));
  const info = attributes.get(rt.IFLA_LINKINFO);
  const kind = info && decodeAttributes(info);
  const data = kind?.get(rt.IFLA_INFO_DATA);
  const vxlan = textOf(kind?.get(rt.IFLA_INFO_KIND)) === 'vxlan' && data ? decodeAttributes(data) : undefined;
  const local = vxlan?.get(IFLA_VXLAN_LOCAL6) ?? vxlan?.get(IFLA_VXLAN_LOCAL);
  return {
    index: payload.readInt32LE(4),
    alias: textOf(attributes.get(rt.IFLA_IFALIAS)),
    mtu: attributes.get(rt.IFLA_MTU)?.readUInt32LE(0) ?? 0,
    make: [
      vxlan?.get(IFLA_VXLAN_ID)?.readUInt32LE(0),
      vxlan?.get(IFLA_VXLAN_PORT)?.readUInt16BE(0),
      local?.toString('hex'),
      attributes.get(rt.IFLA_ADDRESS)?.toString('hex'),
      vxlan?.has(IFLA_VXLAN_GBP),
      vxlan?.get(IFLA_VXLAN_LEARNING)?.[0],
    ].join(' '),
  };
}

/** As {@link FoundTunnel} has it when the link is as it must be. */
export const tunnelMake = ({ id, port, local, hardwareAddress }: TunnelLink): string =>
  [id, port, addressBytes(local).toString('hex'), hardwareAddress.toString('hex'), true, 0].join(' ');

/** Where a host's packets go: a neighbour of routes, or an entry of the tunnel's forwarding table. */
export interface TunnelEntry {
  /** Absent: the entry says at which host the hardware address is. */
  readonly gateway?: string;
  readonly hardwareAddress: Buffer;
  readonly hostAddress?: string;
}

export const entryName = ({ gateway, hardwareAddress, hostAddress }: TunnelEntry): string =>
  `${gateway ?? 'at'} ${hardwareAddress.toString('hex')} ${hostAddress ?? ''}`;

function entryMessage(type: number, flags: number, index: number, entry: TunnelEntry): Message {
  const { gateway, hardwareAddress, hostAddress = '' } = entry;
  const body = Buffer.alloc(NEIGHBOUR_BODY_BYTES);
  body[0] = gateway === undefined ? AF_BRIDGE : rt.familyNumber(familyOf(gateway));
  body.writeInt32LE(index, 4);
  body.writeUInt16LE(rt.NUD_PERMANENT, 8);
  body[10] = gateway === undefined ? NTF_SELF : 0;
  return {
    type,
    flags,
    body,
    attributes: [
      rt.attribute(rt.NDA_DST, addressBytes(gateway ?? hostAddress)),
      rt.attribute(rt.NDA_LLADDR, hardwareAddress),
    ],
  };
}

export const addEntry = (index: number, entry: TunnelEntry): Message =>
  entryMessage(rt.RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, entry);

export const removeEntry = (index: number, entry: TunnelEntry): Message => entryMessage(RTM_DELNEIGH, 0, index, entry);

/** Of one kind: neighbours of a family, or forwarding entries. */
export function listEntries(kind: Family | 'forwarding', index: number): Message {
  const body = Buffer.alloc(kind === 'forwarding' ? rt.LINK_BODY_BYTES : NEIGHBOUR_BODY_BYTES);
  body[0] = kind === 'forwarding' ? AF_BRIDGE : rt.familyNumber(kind);
  body.writeInt32LE(index, 4);
  return { type: RTM_GETNEIGH, flags: NLM_F_DUMP, body, attributes: [] };
}

export function readEntry({ type, payload }: Received, ofIndex: number): TunnelEntry | undefined {
  if (type !== rt.RTM_NEWNEIGH || payload.length < NEIGHBOUR_BODY_BYTES || payload.readInt32LE(4) !== ofIndex)
    return undefined;
  const attributes = decodeAttributes(payload.subarray(NEIGHBOUR_BODY_BYTES));
  const to = attributes.get(rt.NDA_DST);
  const hardwareAddress = attributes.get(rt.NDA_LLADDR);
  // Neighbours that nobody made, such as those of multicast addresses.
  if (to === undefined || hardwareAddress === undefined || (payload.readUInt16LE(8) & rt.NUD_PERMANENT) === 0)
    return undefined;
  const address = textOfAddress(to);
  const kept = Buffer.from(hardwareAddress);
  return payload[0] === AF_BRIDGE
    ? { hardwareAddress: kept, hostAddress: address }
    : { gateway: address, hardwareAddress: kept };
}

function textOfAddress(bytes: Buffer): string {
  return addressText(bytes.length === 4 ? 4 : 6, BigInt(`0x${bytes.toString('hex')}`));
}

export interface RouteOptions {
  /** Of the tunnel; absent: the kernel finds the link that the next hop is on. */
  readonly index?: number | undefined;
  /** Greater than that of a route to a container that is here. */
  readonly metric: number;
}

function routeMessage(type: number, flags: number, { family, to, via }: RemoteRoute, options: RouteOptions): Message {
  const body = Buffer.alloc(rt.ROUTE_BODY_BYTES);
  const { index, metric } = options;
  body[0] = rt.familyNumber(family);
  body[1] = rt.FULL[family];
  body[4] = rt.RT_TABLE_MAIN;
  body[5] = ROUTE_PROTOCOL;
  body[6] = type === RTM_DELROUTE && family === 4 ? SCOPE_NOWHERE : rt.SCOPE_UNIVERSE;
  body[7] = rt.RTN_UNICAST;
  if (index !== undefined && type === rt.RTM_NEWROUTE) body.writeUInt32LE(RTNH_F_ONLINK, 8);
  const viaFamily = familyOf(via);
  const gateway =
    viaFamily === family
      ? rt.attribute(rt.RTA_GATEWAY, addressBytes(via))
      : rt.attribute(RTA_VIA, Buffer.concat([Buffer.from([rt.familyNumber(viaFamily), 0]), addressBytes(via)]));
  return {
    type,
    flags,
    body,
    attributes: [
      rt.attribute(rt.RTA_DST, addressBytes(to)),
      rt.attribute(RTA_PRIORITY, u32(metric)),
      ...(type === rt.RTM_NEWROUTE ? [gateway] : []),
      ...(index === undefined ? [] : [rt.attribute(rt.RTA_OIF, u32(index))]),
    ],
  };
}

/** Replaces a route of the same metric. */
export const addRemoteRoute = (route: RemoteRoute, options: RouteOptions): Message =>
  routeMessage(rt.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route, options);

/** By whichever next hop. */
export const removeRemoteRoute = (route: RemoteRoute, options: RouteOptions): Message =>
  routeMessage(RTM_DELROUTE, 0, route, options);

/** With the interface that it leads to. */
export interface FoundRemoteRoute extends RemoteRoute {
  readonly index: number;
}

/** A route of {@link addRemoteRoute} with this metric. */
export function readRemoteRoute({ type, payload }: Received, ofMetric: number): FoundRemoteRoute | undefined {
  if (type !== rt.RTM_NEWROUTE || payload.length < rt.ROUTE_BODY_BYTES || payload[5] !== ROUTE_PROTOCOL)
    return undefined;
  const attributes = decodeAttributes(payload.subarray(rt.ROUTE_BODY_BYTES));
  const table = attributes.get(rt.RTA_TABLE)?.readUInt32LE(0) ?? payload[4];
  const to = attributes.get(rt.RTA_DST);
  if (table !== rt.RT_TABLE_MAIN || to === undefined || attributes.get(RTA_PRIORITY)?.readUInt32LE(0) !== ofMetric)
    return undefined;
  const via = attributes.get(rt.RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(2);
  return {
    family: payload[0] === rt.AF_INET6 ? 6 : 4,
    to: textOfAddress(to),
    via: via === undefined ? '' : textOfAddress(via),
    index: attributes.get(rt.RTA_OIF)?.readInt32LE(0) ?? 0,
  };
}

export function listAddresses(): Message {
  return { type: RTM_GETADDR, flags: NLM_F_DUMP, body: Buffer.alloc(ADDRESS_BODY_BYTES), attributes: [] };
}

/** @returns the address, and the index of the interface that has it */
export function readAddress({
  type,
  payload,
}: Received): { readonly address: string; readonly index: number } | undefined {
  if (type !== rt.RTM_NEWADDR || payload.length < ADDRESS_BODY_BYTES) return undefined;
  const attributes = decodeAttributes(payload.subarray(ADDRESS_BODY_BYTES));
  const address = attributes.get(rt.IFA_LOCAL) ?? attributes.get(rt.IFA_ADDRESS);
  return address && { address: textOfAddress(address), index: payload.readUInt32LE(4) };
}

export function readMtu({ type, payload }: Received): number | undefined {
  if (type !== rt.RTM_NEWLINK || payload.length < rt.LINK_BODY_BYTES) return undefined;
  return decodeAttributes(payload.subarray(rt.LINK_BODY_BYTES)).get(rt.IFLA_MTU)?.readUInt32LE(0);
}
