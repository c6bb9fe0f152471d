import { describe, expect, it } from '@jest/globals';
import { addressBytes, canonicalAddress, hardwareAddress, overlap, parseNetwork, rangeText } from './address.js';

describe('addresses', () => {
  it.each([
    ['10.64.0.1', '0a400001'],
    ['::', '00000000000000000000000000000000'],
    ['fd00:706c:696e::a40:1', 'fd00706c696e0000000000000a400001'],
    ['::ffff:10.64.0.1', '00000000000000000000ffff0a400001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ])('%s as bytes', (address, hex) => expect(addressBytes(address).toString('hex')).toBe(hex));

  it.each([
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['::', '::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1::', '1::'],
    ['10.64.0.1', '10.64.0.1'],
  ])('%s has one text', (address, text) => expect(canonicalAddress(address)).toBe(text));

  it.each(['', '10.0.0', '10.0.0.256', '10.0.0.1%eth0', 'fe80::1%eth0', '10.0.0.1; drop', 'localhost'])(
    'refuses %j',
    (text) => expect(() => canonicalAddress(text)).toThrow(RangeError),
  );

  it.each(['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', '10.0.0.0/8/8', 'fd00::/129', '/8'])(
    'refuses the network %j',
    (text) => expect(() => parseNetwork(text)).toThrow(RangeError),
  );

  it.each([
    ['10.64.0.0/10', '10.0.0.0/8', true],
    ['10.64.0.0/10', '10.0.0.0/10', false],
    ['10.64.0.0/10', '10.127.255.255', true],
    ['10.64.0.0/10', '10.128.0.0', false],
    ['fd00::/8', 'fd00:706c:696e::/64', true],
    ['10.64.0.0/10', '::/0', false],
  ])('%s and %s overlap: %s', (one, other, expected) =>
    expect(overlap(parseNetwork(one), parseNetwork(other))).toBe(expected),
  );

  it.each(['10.0.0.0/8', '0.0.0.0/0', '192.0.2.1', '2001:db8::/33', '::/0'])('%s is written as it was', (text) =>
    expect(rangeText(parseNetwork(text))).toBe(text),
  );

  it('gives each end a hardware address of one station, of local administration', () => {
    const ends = (['host', 'container'] as const).map((end) => hardwareAddress('10.64.0.1', end).toString('hex'));
    expect(ends).toEqual(['06700a400001', '02700a400001']);
  });
});
