import { describe, expect, it } from '@jest/globals';
import { addressKey, DOMAIN_PATTERN, reversedAddress } from './labels.js';

describe('a domain', () => {
  it.each([
    ['plinth.internal', true],
    ['internal', true],
    ['a'.repeat(63), true],
    ['a'.repeat(64), false],
    [`${'a'.repeat(62)}.${'b'.repeat(62)}`, true],
    [`${'a'.repeat(63)}.${'b'.repeat(62)}`, false],
    ['Plinth.internal', false],
    ['plinth..internal', false],
    ['plinth.internal.', false],
    ['-plinth', false],
    ['plinth_internal', false],
    ['', false],
  ])('%s: %s', (domain, valid) => expect(DOMAIN_PATTERN.test(domain)).toBe(valid));
});

describe('the key of an address', () => {
  it.each([
    ['10.64.0.7', '10.64.0.7'],
    ['fd00:706c:696e::a40:7', 'fd00706c696e0000000000000a400007'],
    ['FD00:706C:696E:0:0:0:A40:7', 'fd00706c696e0000000000000a400007'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['fe80::', `fe80${'0'.repeat(28)}`],
    ['::ffff:10.64.0.7', `${'0'.repeat(20)}ffff0a400007`],
  ])('%s', (address, key) => expect(addressKey(address)).toBe(key));

  it.each(['', '10.64.0', 'fe80::1%eth0', 'shop'])('%p is refused', (address) =>
    expect(() => addressKey(address)).toThrow(RangeError),
  );
});

describe('a reverse name', () => {
  const six = '7.0.0.0.0.4.a.0.0.0.0.0.0.0.0.0.0.0.0.0.e.6.9.6.c.6.0.7.0.0.d.f.ip6.arpa';
  it.each([
    ['7.0.64.10.in-addr.arpa', '10.64.0.7'],
    ['256.0.64.10.in-addr.arpa', undefined],
    ['64.10.in-addr.arpa', undefined],
    ['007.0.64.10.in-addr.arpa', undefined],
    ['in-addr.arpa', undefined],
    [six, 'fd00:706c:696e:0000:0000:0000:0a40:0007'],
    [six.slice(2), undefined],
    [`x.${six.slice(2)}`, undefined],
    ['shop-1.acme.plinth.internal', undefined],
  ])('%s', (name, address) => expect(reversedAddress(name)).toBe(address));
});
