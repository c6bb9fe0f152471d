import { describe, expect, it } from '@jest/globals';
import { ADDRESS_POOL, ADDRESS_POOL6, poolProblem, prefixProblem } from './address-pools.js';

it('those that are taken where none is set can be pools', () => {
  expect([poolProblem(ADDRESS_POOL), prefixProblem(ADDRESS_POOL6)]).toEqual([undefined, undefined]);
});

describe('a pool of addresses', () => {
  it.each(['10.64.0.0/10', '10.0.0.0/8', '192.168.7.0/24', '10.64.0.0/30', '100.64.0.0/10', '223.0.0.0/8'])(
    '%s can be one',
    (text) => expect(poolProblem(text)).toBeUndefined(),
  );
  it.each([
    ['10.64.0.1/10', /CIDR/],
    ['10.64.0.0', /CIDR/],
    ['fd00::/64', /IPv4/],
    [7, /IPv4/],
    ['', /IPv4/],
    ['10.64.0.0/31', /8 to 30/],
    ['64.0.0.0/7', /8 to 30/],
    ['127.0.0.0/8', /127\.0\.0\.0\/8/],
    ['169.254.1.0/24', /169\.254/],
    ['224.0.0.0/8', /224\.0\.0\.0\/3/],
    ['255.255.255.0/24', /224\.0\.0\.0\/3/],
    ['0.0.0.0/8', /0\.0\.0\.0\/8/],
  ])('%j can not: %s', (text, problem) => expect(poolProblem(text)).toMatch(problem));
});

describe('the prefix of IPv6 addresses', () => {
  it.each(['fd00:706c:696e::/64', '2001:db8:0:7::/64'])('%s can be one', (text) =>
    expect(prefixProblem(text)).toBeUndefined(),
  );
  it.each(['fd00::/48', 'fd00::1/64', 'fe80::/64', 'ff02::/64', '::/64', '10.0.0.0/8', '', 3])('%j can not', (text) =>
    expect(prefixProblem(text)).toMatch(/./),
  );
});
