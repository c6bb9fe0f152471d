/** What is asked of ctnetlink about tracked connections, as messages, and what it answers. Pure. */
import { addressBytes, addressText, type Family } from '../address.js';
import { type Attribute, decodeAttributes, type Message, NLM_F_DUMP, type Received, u32, u8 } from './message.js';

/** linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h */
const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const IPCTNL_MSG_CT_GET_STATS = 5;
/** linux/netlink.h */
const NLA_F_NESTED = 0x8000;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_STATS_GLOBAL_ENTRIES = 1;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const SOURCE: Readonly<Record<Family, number>> = { 4: 1, 6: 3 };
const DESTINATION: Readonly<Record<Family, number>> = { 4: 2, 6: 4 };
/** net/netfilter/nf_conntrack_netlink.c */
const FILTER_IP_SOURCE = 1 << 0;
const FILTER_PROTOCOL = 1 << 3;
const FILTER_DESTINATION_PORT = 1 << 5;
/** struct nfgenmsg */
const BODY_BYTES = 4;
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
/** linux/in.h */
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

export type TrackedProtocol = keyof typeof PROTOCOLS;

/** One direction of a connection. */
export interface Tuple {
  readonly source: string;
  readonly destination: string;
  /** IP protocol number. */
  readonly protocol: number;
  /** Absent: the protocol has none. */
  readonly destinationPort?: number;
}

export interface TrackedConnection {
  readonly family: Family;
  readonly original: Tuple;
  /** What the kernel expects as an answer: with addresses translated. */
  readonly reply: Tuple;
  /** As the kernel wrote them, to name this connection and no later one. */
  readonly originalBytes: Buffer;
  readonly id: Buffer | undefined;
}

/** Linux before 5.8 answers with all connections: the caller looks at what it gets. */
export type TrackedBy =
  | { readonly family: Family; readonly side: 'original' | 'reply'; readonly source: string }
  | { readonly family: Family; readonly protocol: TrackedProtocol; readonly destinationPort: number };

const attribute = (type: number, payload: Attribute['payload']): Attribute => ({ type, payload });
const body = (family: Family): Buffer => Buffer.from([AF[family], 0, 0, 0]);

function port(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function listTracked(by: TrackedBy): Message {
  const isSource = 'source' in by;
  const tuple = isSource
    ? [attribute(CTA_TUPLE_IP, [attribute(SOURCE[by.family], addressBytes(by.source))])]
    : [
        attribute(CTA_TUPLE_PROTO, [
          attribute(CTA_PROTO_NUM, u8(PROTOCOLS[by.protocol])),
          attribute(CTA_PROTO_DST_PORT, port(by.destinationPort)),
        ]),
      ];
  const isReply = isSource && by.side === 'reply';
  const flags = isSource ? FILTER_IP_SOURCE : FILTER_PROTOCOL | FILTER_DESTINATION_PORT;
  return {
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
    flags: NLM_F_DUMP,
    body: body(by.family),
    attributes: [
      attribute(isReply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG, tuple),
      attribute(CTA_FILTER, [attribute(isReply ? CTA_FILTER_REPLY_FLAGS : CTA_FILTER_ORIG_FLAGS, u32(flags))]),
    ],
  };
}

/** How many there are, of both families. */
export function countTracked(): Message {
  return {
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS,
    flags: 0,
    body: Buffer.alloc(BODY_BYTES),
    attributes: [],
  };
}

export function readTrackedCount({ payload }: Received): number {
  return decodeAttributes(payload.subarray(BODY_BYTES)).get(CTA_STATS_GLOBAL_ENTRIES)?.readUInt32BE(0) ?? Infinity;
}

/** Of both families. */
export function listAllTracked(): Message {
  return {
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
    flags: NLM_F_DUMP,
    body: Buffer.alloc(BODY_BYTES),
    attributes: [],
  };
}

export function removeTracked({ family, originalBytes, id }: TrackedConnection): Message {
  return {
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: 0,
    body: body(family),
    attributes: [
      // It holds attributes already.
      attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, originalBytes),
      ...(id === undefined ? [] : [attribute(CTA_ID, id)]),
    ],
  };
}

export function readTracked({ payload }: Received): TrackedConnection | undefined {
  const family = payload[0] === AF[4] ? 4 : 6;
  const attributes = decodeAttributes(payload.subarray(BODY_BYTES));
  const original = attributes.get(CTA_TUPLE_ORIG);
  const reply = attributes.get(CTA_TUPLE_REPLY);
  if (payload[0] !== AF[family] || original === undefined || reply === undefined) return undefined;
  return {
    family,
    original: readTuple(family, original),
    reply: readTuple(family, reply),
    originalBytes: original,
    id: attributes.get(CTA_ID),
  };
}

function readTuple(family: Family, bytes: Buffer): Tuple {
  const parts = decodeAttributes(bytes);
  const ip = decodeAttributes(parts.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const proto = decodeAttributes(parts.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const address = (found: Buffer | undefined): string =>
    found === undefined ? '' : addressText(family, BigInt(`0x${found.toString('hex')}`));
  const destinationPort = proto.get(CTA_PROTO_DST_PORT)?.readUInt16BE(0);
  return {
    source: address(ip.get(SOURCE[family])),
    destination: address(ip.get(DESTINATION[family])),
    protocol: proto.get(CTA_PROTO_NUM)?.[0] ?? 0,
    ...(destinationPort !== undefined && { destinationPort }),
  };
}

export const protocolNumber = (protocol: TrackedProtocol): number => PROTOCOLS[protocol];
