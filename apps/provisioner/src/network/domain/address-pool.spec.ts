import { describe, expect, it } from '@jest/globals';
import { addressPool, containerAddress, poolSize } from './address-pool.js';

describe('a pool of addresses', () => {
  it.each([
    ['10.64.0.0/10', '10.64.0.1', '10.127.255.254', 4_194_302],
    ['10.64.0.16/28', '10.64.0.17', '10.64.0.30', 14],
    ['10.64.0.0/30', '10.64.0.1', '10.64.0.2', 2],
    ['192.168.255.0/24', '192.168.255.1', '192.168.255.254', 254],
  ])('%s is %s to %s', (pool, first, last, size) => {
    expect(addressPool(pool)).toEqual({ pool, first, last });
    expect(poolSize(pool)).toBe(size);
  });
});

describe('the prefix of IPv6 addresses', () => {
  it.each([
    ['10.64.0.1', 'fd00:706c:696e::a40:1'],
    ['10.127.255.254', 'fd00:706c:696e::a7f:fffe'],
    ['10.64.0.0', 'fd00:706c:696e::a40:0'],
  ])('makes of %s %s', (ipv4, ipv6) => expect(containerAddress(ipv4, 'fd00:706c:696e::/64')).toEqual({ ipv4, ipv6 }));
});
