/**
 * A change of elements as messages to nfnetlink, as libnftables writes it: each field of a key takes a multiple of four
 * bytes, a mark is in the machine's order, everything else in that of the network. Pure.
 */
import { addressBytes, parseNetwork } from '../address.js';
import { type Attribute, type Message, NLM_F_CREATE, text, u32 } from '../netlink/message.js';
import type { Change, Element } from './elements.js';
import { type FieldType, SETS, type SetType } from './sets.js';

/** linux/netfilter/nfnetlink.h, nf_tables.h */
const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const NFNL_BATCH_GENID = 1;
const NFT_MSG_NEWSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 12;
const NFT_MSG_DELSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 14;
const NFPROTO_INET = 1;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_KEY_END = 10;
const NFTA_DATA_VALUE = 1;
/** linux/if.h */
const IFNAMSIZ = 16;
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };
/** More are written by libnftables: what it costs is little for each of them then. An attribute has at most 64 KiB. */
const MOST = 256;

/**
 * @returns undefined: it is for libnftables. So is what has marks in ranges, whose byte order is that of the rules which
 * its version has written.
 */
export function changeMessages(table: string, { add, remove }: Change): Message[] | undefined {
  if (add.length + remove.length > MOST) return undefined;
  if ([...add, ...remove].some(({ set }) => !isWritten(SETS[set]))) return undefined;
  return [
    ...messages(NFT_MSG_DELSETELEM, 0, table, remove, false),
    ...messages(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, add, true),
  ];
}

function isWritten(type: SetType | undefined): boolean {
  return type !== undefined && !(type.interval === true && type.key.includes('mark'));
}

/** What a transaction begins with. @param generation that nftables must have; absent: any */
export function beginMessage(generation: number | undefined): Message {
  const expected = Buffer.alloc(4);
  expected.writeUInt32BE(generation ?? 0);
  return {
    type: NFNL_MSG_BATCH_BEGIN,
    flags: 0,
    body: Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]),
    attributes: generation === undefined ? [] : [{ type: NFNL_BATCH_GENID, payload: expected }],
  };
}

export const END_MESSAGE: Message = {
  type: NFNL_MSG_BATCH_END,
  flags: 0,
  body: Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]),
  attributes: [],
};

function messages(
  type: number,
  flags: number,
  table: string,
  elements: readonly Element[],
  withValues: boolean,
): Message[] {
  const bySet = new Map<string, Attribute[]>();
  for (const element of elements) {
    const listed = bySet.get(element.set) ?? [];
    listed.push({ type: NFTA_LIST_ELEM, payload: elementAttributes(element, withValues) });
    bySet.set(element.set, listed);
  }
  return [...bySet].map(([set, listed]) => ({
    type,
    flags,
    body: Buffer.from([NFPROTO_INET, 0, 0, 0]),
    attributes: [
      { type: NFTA_SET_ELEM_LIST_TABLE, payload: text(table) },
      { type: NFTA_SET_ELEM_LIST_SET, payload: text(set) },
      { type: NFTA_SET_ELEM_LIST_ELEMENTS, payload: listed },
    ],
  }));
}

function elementAttributes({ set, key, value }: Element, withValue: boolean): Attribute[] {
  const type = SETS[set] as SetType;
  const fields = fieldsOf(key, type.key);
  return [
    data(
      NFTA_SET_ELEM_KEY,
      fields.map(({ first }) => first),
    ),
    ...(type.interval
      ? [
          data(
            NFTA_SET_ELEM_KEY_END,
            fields.map(({ last }) => last),
          ),
        ]
      : []),
    ...(withValue && type.value !== undefined && value !== undefined
      ? [
          data(
            NFTA_SET_ELEM_DATA,
            fieldsOf(value, type.value).map(({ first }) => first),
          ),
        ]
      : []),
  ];
}

function data(type: number, fields: readonly Buffer[]): Attribute {
  return { type, payload: [{ type: NFTA_DATA_VALUE, payload: Buffer.concat(fields) }] };
}

interface Field {
  readonly first: Buffer;
  /** The same where it is no range. */
  readonly last: Buffer;
}

function fieldsOf(written: string, types: readonly FieldType[]): Field[] {
  const parts = written.split(' . ');
  if (parts.length !== types.length) throw new RangeError(`${JSON.stringify(written)} is not ${types.join(' . ')}`);
  return types.map((type, index) => fieldOf(parts[index] ?? '', type));
}

function fieldOf(written: string, type: FieldType): Field {
  if (type === 'ipv4_addr' || type === 'ipv6_addr') return addresses(written);
  const [first = '', last = first] = type === 'inet_service' ? written.split('-') : [written];
  return { first: bytesOf(first, type), last: bytesOf(last, type) };
}

function addresses(written: string): Field {
  if (written.includes('/')) {
    const { first, last, family } = parseNetwork(written);
    const bytes = (value: bigint): Buffer =>
      Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex');
    return { first: bytes(first), last: bytes(last) };
  }
  const [first = '', last] = written.split('-');
  const bytes = addressBytes(first);
  return { first: bytes, last: last === undefined ? bytes : addressBytes(last) };
}

function bytesOf(written: string, type: Exclude<FieldType, 'ipv4_addr' | 'ipv6_addr'>): Buffer {
  if (type === 'mark') return u32(Number(written));
  const bytes = Buffer.alloc(type === 'ifname' ? IFNAMSIZ : 4);
  if (type === 'ifname') bytes.write(written, 'latin1');
  else if (type === 'inet_proto') bytes[0] = PROTOCOLS[written] ?? 0;
  else bytes.writeUInt16BE(Number(written));
  return bytes;
}
