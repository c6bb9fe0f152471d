import { describe, expect, it } from '@jest/globals';
import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { formatIpv4, formatIpv6, parseIp, parseNetwork } from './ip-networks.js';

describe('networks in CIDR form', () => {
  it.each([
    ['10.0.0.0/8', 4, 0x0a000000n, 8],
    ['0.0.0.0/0', 4, 0n, 0],
    ['192.0.2.7/32', 4, 0xc0000207n, 32],
    ['2001:db8::/32', 6, 0x20010db8n << 96n, 32],
    ['::/0', 6, 0n, 0],
    ['::1/128', 6, 1n, 128],
    ['::ffff:10.0.0.0/104', 6, (0xffffn << 32n) + 0x0a000000n, 104],
  ])('%s', (text, family, base, prefix) => expect(parseNetwork(text)).toEqual({ family, base, prefix }));

  it.each([
    ['no prefix', '10.0.0.0'],
    ['bits after the prefix', '10.0.0.1/8'],
    ['bits after the prefix of IPv6', '2001:db8::1/64'],
    ['a prefix that is too long', '10.0.0.0/33'],
    ['a prefix that is too long for IPv6', '::/129'],
    ['a leading zero', '10.0.0.0/08'],
    ['three numbers', '10.0.0/8'],
    ['a number above 255', '256.0.0.0/8'],
    ['octal', '010.0.0.0/8'],
    ['a zone', 'fe80::%eth0/64'],
    ['spaces', ' 10.0.0.0/8'],
    ['a name', 'example.org/24'],
    ['nothing', ''],
    ['two runs of zeroes', '1::2::3/128'],
  ])('refuses %s', (_what, text) => expect(parseNetwork(text)).toBeUndefined());
});

describe('text of addresses', () => {
  it.each([
    [0n, '::'],
    [1n, '::1'],
    [0xfd00_706c_696e_0000_0000_0000_0a40_0001n, 'fd00:706c:696e::a40:1'],
    [0x2001_0db8_0000_0001_0000_0000_0000_0001n, '2001:db8:0:1::1'],
    [0x2001_0db8_0000_0001_0001_0001_0001_0001n, '2001:db8:0:1:1:1:1:1'],
    [0x0001_0000_0000_0000_0000_0000_0000_0000n, '1::'],
  ])('%i is %s', (address, text) => expect(formatIpv6(address)).toBe(text));

  it('is read back as the same address', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.nat(0xffff_ffff), (long, short) => {
        expect(isIPv6(formatIpv6(long))).toBe(true);
        expect(parseIp(formatIpv6(long))).toBe(long);
        expect(parseIp(formatIpv4(short))).toBe(BigInt(short));
      }),
    );
    fc.assert(fc.property(fc.ipV6(), (text) => typeof parseIp(text) === 'bigint'));
  });

  it('with zeroes in the middle is short', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom<bigint>(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 }), (groups) => {
        const address = groups.reduce((sum, group) => sum * 65_536n + group, 0n);
        expect(parseIp(formatIpv6(address))).toBe(address);
      }),
    );
  });
});
