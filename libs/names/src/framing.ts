/** Messages over TCP: each has its length before it, in two bytes (RFC 1035 §4.2.2). Pure. */

export function framed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Holds at most one message that is not whole, of 64 KiB. */
export class FramedMessages {
  private rest: Buffer = Buffer.alloc(0);

  /** @returns the messages that are whole now */
  add(data: Buffer): Buffer[] {
    const found: Buffer[] = [];
    let bytes = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
    while (bytes.length >= 2) {
      const end = 2 + bytes.readUInt16BE(0);
      if (bytes.length < end) break;
      found.push(bytes.subarray(2, end));
      bytes = bytes.subarray(end);
    }
    this.rest = Buffer.from(bytes);
    return found;
  }
}
