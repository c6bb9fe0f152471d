import { describe, expect, it } from '@jest/globals';
import { decodeAttributes, decodeMessages, encodeAttributes, encodeMessage, text, textOf, u32 } from './message.js';

describe('netlink messages', () => {
  it('have a header, a body and attributes of a multiple of four bytes', () => {
    const bytes = encodeMessage(
      { type: 16, flags: 5, body: Buffer.from([1, 2]), attributes: [{ type: 3, payload: text('plc') }] },
      9,
    );
    expect(bytes.toString('hex')).toBe('1c00000010000500090000000000000001020000' + '08000300706c6300');
  });

  it('mark attributes that hold attributes', () => {
    const nested = encodeAttributes([{ type: 18, payload: [{ type: 1, payload: text('veth') }] }]);
    expect(nested.toString('hex')).toBe('10001280' + '09000100' + '7665746800000000'.slice(0, 16));
    const outer = decodeAttributes(nested);
    expect(textOf(decodeAttributes(outer.get(18) ?? Buffer.alloc(0)).get(1))).toBe('veth');
  });

  it('are found again in a datagram', () => {
    const one = encodeMessage({ type: 2, flags: 0, body: u32(7), attributes: [] }, 1);
    const two = encodeMessage({ type: 3, flags: 2, body: u32(8), attributes: [] }, 2);
    expect(decodeMessages(Buffer.concat([one, two]))).toMatchObject([
      { type: 2, flags: 0, sequence: 1 },
      { type: 3, flags: 2, sequence: 2 },
    ]);
  });

  it.each([
    ['shorter than its header', '08000000' + '00'.repeat(12)],
    ['longer than the datagram', 'ff000000' + '00'.repeat(12)],
  ])('refuse a length that is %s', (_, hex) =>
    expect(() => decodeMessages(Buffer.from(hex, 'hex'))).toThrow(RangeError),
  );

  it.each(['0200' + '0100', 'ff00' + '0100'])('refuse the attribute %s', (hex) =>
    expect(() => decodeAttributes(Buffer.from(hex, 'hex'))).toThrow(RangeError),
  );
});
