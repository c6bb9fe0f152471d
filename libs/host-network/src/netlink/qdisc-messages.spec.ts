import { describe, expect, it } from '@jest/globals';
import { decodeAttributes, decodeMessages, encodeMessage } from './message.js';
import { readRate, setRate } from './qdisc-messages.js';

describe('a rate', () => {
  it.each([8_000, 64_000, 100_000_000, 34_359_738_360, 100_000_000_000])(
    'of %d bit/s is read back as it was set',
    (rate) => {
      const [message] = decodeMessages(encodeMessage(setRate(7, rate), 1));
      expect(message && readRate(message)).toEqual({ index: 7, bitsPerSecond: rate, dropped: 0, delayed: 0 });
    },
  );

  it('has a bucket that holds the largest packet, and a queue that holds more', () => {
    const [message] = decodeMessages(encodeMessage(setRate(7, 8_000), 1));
    const options = decodeAttributes(
      decodeAttributes(message?.payload.subarray(20) ?? Buffer.alloc(0)).get(2) ?? Buffer.alloc(0),
    );
    const burst = options.get(6)?.readUInt32LE(0) ?? 0;
    expect(burst).toBeGreaterThan(1514);
    expect(options.get(1)?.readUInt32LE(24)).toBeGreaterThan(burst);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a message that is cut off', Buffer.alloc(19)],
    ['another kind', Buffer.alloc(40)],
  ])('is none in %s', (_what, payload) =>
    expect(readRate({ type: 36, flags: 0, sequence: 1, payload })).toBeUndefined(),
  );
});
