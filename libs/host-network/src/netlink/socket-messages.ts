/** TCP sockets that listen, as messages of sock_diag(7): the kernel looks through these only. Pure. */
import { type Message, NLM_F_DUMP, type Received } from './message.js';

export const NETLINK_SOCK_DIAG = 4;
/** linux/sock_diag.h */
const SOCK_DIAG_BY_FAMILY = 20;
/** sys/socket.h */
const FAMILIES = { 4: 2, 6: 10 } as const;
const IPPROTO_TCP = 6;
/** net/tcp_states.h */
const TCP_LISTEN = 10;
/** `struct inet_diag_req_v2`: family, protocol, extensions and a filler, states, then the id of a socket. */
const REQUEST_BYTES = 56;
const STATES_AT = 4;
/** `struct inet_diag_msg`: family, state, timer, tries, then the id of the socket, in the network's order. */
const ANSWER_BYTES = 72;
const STATE_AT = 1;
const PORT_AT = 4;
const ADDRESS_AT = 8;

/** A list of the IPv4 or IPv6 sockets of the network that the netlink socket is in. */
export function listListening(family: keyof typeof FAMILIES): Message {
  const body = Buffer.alloc(REQUEST_BYTES);
  body.writeUInt8(FAMILIES[family], 0);
  body.writeUInt8(IPPROTO_TCP, 1);
  body.writeUInt32LE(1 << TCP_LISTEN, STATES_AT);
  return { type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, body, attributes: [] };
}

/** @returns undefined for anything but a socket that listens; the address has 4 or 16 bytes */
export function readListener({
  type,
  payload,
}: Received): { readonly port: number; readonly address: Buffer } | undefined {
  if (type !== SOCK_DIAG_BY_FAMILY || payload.length < ANSWER_BYTES || payload[STATE_AT] !== TCP_LISTEN)
    return undefined;
  const bytes = payload[0] === FAMILIES[6] ? 16 : 4;
  return { port: payload.readUInt16BE(PORT_AT), address: payload.subarray(ADDRESS_AT, ADDRESS_AT + bytes) };
}
