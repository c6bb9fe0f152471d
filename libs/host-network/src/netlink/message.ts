/** Netlink messages as bytes (netlink(7)): header, body, attributes. Pure; numbers are in the machine's order. */

export interface Attribute {
  readonly type: number;
  readonly payload: Buffer | readonly Attribute[];
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  /** The fixed part that follows the header, such as `struct ifinfomsg`. */
  readonly body: Buffer;
  readonly attributes: readonly Attribute[];
}

/** A message as it arrived; the attributes follow `bodyLength` bytes, which depend on its type. */
export interface Received {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** linux/netlink.h */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;

const aligned = (bytes: number): number => (bytes + 3) & ~3;

export function encodeMessage({ type, flags, body, attributes }: Message, sequence: number): Buffer {
  const payload = Buffer.concat([padded(body), encodeAttributes(attributes)]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(HEADER_BYTES + payload.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, payload]);
}

export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(({ type, payload }) => {
      const nested = !Buffer.isBuffer(payload);
      const bytes = nested ? encodeAttributes(payload as readonly Attribute[]) : (payload as Buffer);
      const header = Buffer.alloc(ATTRIBUTE_HEADER_BYTES);
      header.writeUInt16LE(ATTRIBUTE_HEADER_BYTES + bytes.length, 0);
      header.writeUInt16LE(nested ? type | NLA_F_NESTED : type, 2);
      return padded(Buffer.concat([header, bytes]));
    }),
  );
}

function padded(bytes: Buffer): Buffer {
  return bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
}

/** The messages of one datagram. @throws RangeError when a length leads out of it */
export function decodeMessages(datagram: Buffer): Received[] {
  const found: Received[] = [];
  for (let at = 0; at + HEADER_BYTES <= datagram.length;) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length)
      throw new RangeError(`a netlink message of ${length} bytes at ${at} of ${datagram.length}`);
    found.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return found;
}

/** By type; of attributes with the same type the last one. */
export function decodeAttributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + ATTRIBUTE_HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length)
      throw new RangeError(`a netlink attribute of ${length} bytes at ${at} of ${bytes.length}`);
    found.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += aligned(length);
  }
  return found;
}

export const u8 = (value: number): Buffer => Buffer.from([value]);

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** With the zero that ends it. */
export const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf8');

export function textOf(bytes: Buffer | undefined): string | undefined {
  return bytes?.toString('utf8').replace(/\0.*$/s, '');
}
