import { describe, expect, it } from '@jest/globals';
import { decodeMessages, encodeMessage } from './message.js';
import { listListening, readListener } from './socket-messages.js';

const received = (payload: Buffer, type = 20) => ({ type, flags: 2, sequence: 1, payload });

/** As the kernel writes one. */
function answer(family: number, state: number, port: number, address: readonly number[]): Buffer {
  const bytes = Buffer.alloc(72);
  bytes.writeUInt8(family, 0);
  bytes.writeUInt8(state, 1);
  bytes.writeUInt16BE(port, 4);
  Buffer.from(address).copy(bytes, 8);
  return bytes;
}

describe('sockets that listen', () => {
  it.each([
    [4 as const, 2],
    [6 as const, 10],
  ])('of IPv%d are asked for by family, protocol and state', (family, number) => {
    const [message] = decodeMessages(encodeMessage(listListening(family), 1));
    expect([...(message?.payload.subarray(0, 8) ?? [])]).toEqual([number, 6, 0, 0, 0, 4, 0, 0]);
    expect(message?.payload).toHaveLength(56);
  });

  it('are read with port and address', () => {
    expect(readListener(received(answer(2, 10, 8080, [192, 0, 2, 1])))).toEqual({
      port: 8080,
      address: Buffer.from([192, 0, 2, 1]),
    });
    expect(readListener(received(answer(10, 10, 53, [0xfd, 0, 0x70])))?.address).toHaveLength(16);
  });

  it.each([
    ['a message that is cut off', received(answer(2, 10, 80, []).subarray(0, 71))],
    ['a connection', received(answer(2, 1, 80, []))],
    ['another message', received(answer(2, 10, 80, []), 16)],
  ])('are none in %s', (_what, message) => expect(readListener(message)).toBeUndefined());
});
