/** Queries and replies as bytes (RFC 1035, EDNS: RFC 6891), by the library dns-packet. Pure. */
import dnsPacket, { type Answer } from 'dns-packet';

export const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

export const TYPE = { A: 1, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, ANY: 255 } as const;
export const CLASS_INTERNET = 1;

const HEADER_BYTES = 12;
/** A reply without EDNS. */
const PLAIN_BYTES = 512;
/** Fits into a packet of every network, www.dnsflagday.net/2020. */
const EDNS_BYTES = 1232;
/** A query has one for EDNS, and may have a signature. More would only cost time to read. */
const MOST_ADDITIONALS = 2;
/** More is a pointer, or of a kind that was never used. */
const LABEL_BYTES = 63;
const PLAIN_LABEL = /^[a-z0-9_-]+$/i;
const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const FLAG_CHECKING_DISABLED = 0x0010;
const DNSSEC_OK = 0x8000;

export interface Query {
  readonly id: number;
  readonly flags: number;
  /** In lower case, without the last dot; undefined: it has bytes that no name of ours has. */
  readonly name: string | undefined;
  /** As it was asked, for the reply. */
  readonly asked: string;
  readonly type: number;
  readonly class: number;
  /** The bytes of the question: a reply repeats them, with upper and lower case as they are. */
  readonly question: Buffer;
  /** Nothing but a question, and EDNS without options: the same is answered the same. */
  readonly isPlain: boolean;
  /** Absent: the asker has no EDNS. */
  readonly edns?: { readonly payloadBytes: number; readonly version: number; readonly dnssec: boolean };
}

export type ReadQuery =
  | { readonly kind: 'query'; readonly query: Query }
  /** It can't be answered but by this. */
  | { readonly kind: 'reply'; readonly bytes: Buffer }
  /** No query: any answer could begin an endless exchange. */
  | { readonly kind: 'drop' };

export function readQuery(bytes: Buffer): ReadQuery {
  if (bytes.length < HEADER_BYTES) return { kind: 'drop' };
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG_RESPONSE) !== 0) return { kind: 'drop' };
  if (((flags >> 11) & 0xf) !== 0) return { kind: 'reply', bytes: headerReply(bytes, RCODE.notImplemented) };
  const counts = [4, 6, 8, 10].map((offset) => bytes.readUInt16BE(offset));
  const [questions, answers, authorities, additionals = 0] = counts;
  const malformed: ReadQuery = { kind: 'reply', bytes: headerReply(bytes, RCODE.formatError) };
  if (questions !== 1 || answers !== 0 || authorities !== 0 || additionals > MOST_ADDITIONALS) return malformed;
  const labels = questionLabels(bytes);
  if (!labels) return malformed;
  let packet: ReturnType<typeof dnsPacket.decode>;
  try {
    packet = dnsPacket.decode(bytes);
  } catch {
    return malformed;
  }
  const nameBytes = labels.reduce((sum, label) => sum + label.length + 1, 1);
  const question = bytes.subarray(HEADER_BYTES, HEADER_BYTES + nameBytes + 4);
  if (question.length < nameBytes + 4) return malformed;
  const options = (packet.additionals ?? []).flatMap((record) => (record.type === 'OPT' ? [record] : []));
  if (options.length > 1) return malformed;
  const [option] = options;
  const asked = labels.join('.');
  return {
    kind: 'query',
    query: {
      id: bytes.readUInt16BE(0),
      flags,
      name: labels.every((label) => PLAIN_LABEL.test(label)) ? asked.toLowerCase() : undefined,
      asked,
      type: question.readUInt16BE(nameBytes),
      class: question.readUInt16BE(nameBytes + 2),
      question,
      isPlain: additionals === options.length && (option?.options.length ?? 0) === 0,
      edns: option && {
        payloadBytes: option.udpPayloadSize,
        version: option.ednsVersion,
        dnssec: (option.flags & DNSSEC_OK) !== 0,
      },
    },
  };
}

/**
 * The labels of the first question, each byte a character: dnsPacket.decode() joins them by dots, and a label may hold
 * one. A question is the first name of a message, so it has nothing to point to.
 * @returns undefined: it is no name
 */
function questionLabels(bytes: Buffer): string[] | undefined {
  const labels: string[] = [];
  for (let offset = HEADER_BYTES; ;) {
    const length = bytes[offset];
    if (length === undefined || length > LABEL_BYTES) return undefined;
    if (length === 0) return labels;
    labels.push(bytes.toString('latin1', offset + 1, offset + 1 + length));
    offset += 1 + length;
  }
}

export interface Reply {
  readonly rcode: number;
  /** It is about a name of ours. */
  readonly authoritative?: boolean;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
}

/** @param transport one by UDP is cut to what the asker accepts: it asks again by TCP */
export function replyBytes(query: Query, reply: Reply, transport: 'udp' | 'tcp'): Buffer {
  const bytes = encodeReply(query, reply, 0);
  if (transport === 'tcp' || bytes.length <= payloadLimit(query)) return bytes;
  return encodeReply(query, { ...reply, answers: [], authorities: [] }, FLAG_TRUNCATED);
}

/** Bytes of a reply by UDP. */
export function payloadLimit({ edns }: Query): number {
  return edns === undefined ? PLAIN_BYTES : Math.max(PLAIN_BYTES, Math.min(edns.payloadBytes, EDNS_BYTES));
}

function encodeReply(query: Query, reply: Reply, cut: number): Buffer {
  const { edns } = query;
  const flags =
    FLAG_RECURSION_AVAILABLE |
    (query.flags & (FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)) |
    (reply.authoritative === true ? FLAG_AUTHORITATIVE : 0) |
    (reply.rcode & 0xf) |
    cut;
  // dns-packet compresses no names, so the question can be put in as it was asked.
  const rest = dnsPacket.encode({
    type: 'response',
    id: query.id,
    flags,
    answers: [...(reply.answers ?? [])],
    authorities: [...(reply.authorities ?? [])],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: EDNS_BYTES,
            extendedRcode: reply.rcode >> 4,
            ednsVersion: 0,
            flags: edns.dnssec ? DNSSEC_OK : 0,
            flag_do: edns.dnssec,
            options: [],
          },
        ]
      : [],
  });
  rest.writeUInt16BE(1, 4);
  return Buffer.concat([rest.subarray(0, HEADER_BYTES), query.question, rest.subarray(HEADER_BYTES)]);
}

/** To a message whose question can't be read. */
function headerReply(bytes: Buffer, rcode: number): Buffer {
  const reply = Buffer.alloc(HEADER_BYTES);
  bytes.copy(reply, 0, 0, 2);
  const kept = bytes.readUInt16BE(2) & (0x7800 | FLAG_RECURSION_DESIRED);
  reply.writeUInt16BE(FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | kept | rcode, 2);
  return reply;
}

/** The same query under another id, as an asker elsewhere would send it. */
export function withId(bytes: Buffer, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether it is the answer to a query that was sent under this id. */
export function isAnswer(bytes: Buffer, id: number, question: Buffer): boolean {
  return (
    bytes.length >= HEADER_BYTES + question.length &&
    bytes.readUInt16BE(0) === id &&
    (bytes.readUInt16BE(2) & FLAG_RESPONSE) !== 0 &&
    bytes.readUInt16BE(4) === 1 &&
    bytes.subarray(HEADER_BYTES, HEADER_BYTES + question.length).equals(question)
  );
}

export function rcodeOf(bytes: Buffer): number {
  return bytes.readUInt16BE(2) & 0xf;
}
