import { describe, expect, it } from '@jest/globals';
import { hostKeys, type RemoteContainer, RemoteContainers, routesTo } from './remote-containers.js';

const OPTIONS = { address: '192.0.2.1', pool4: '10.64.0.0/10', pool6: 'fd00:706c:696e::/64', tenantByAddress: false };
const remote = (number: number, change: Partial<RemoteContainer> = {}): RemoteContainer => ({
  ipv4: `10.64.0.${number}`,
  ipv6: `fd00:706c:696e::a40:${number.toString(16)}`,
  tenant: 5,
  hostAddress: '192.0.2.2',
  ...change,
});
const NOTHING = { add: [], remove: [], addHosts: [], removeHosts: [] };

describe('what changes', () => {
  it('is what differs, and hosts come with their first container and go with their last', () => {
    const known = new RemoteContainers(OPTIONS);
    expect(known.replace('a', [remote(1), remote(2)])).toMatchObject({
      add: [remote(1), remote(2)],
      remove: [],
      addHosts: ['192.0.2.2'],
    });
    expect(known.replace('a', [remote(2), remote(1)])).toEqual(NOTHING);
    expect(known.replace('b', [remote(3)])).toMatchObject({ add: [remote(3)], addHosts: [], removeHosts: [] });
    const moved = remote(2, { hostAddress: '192.0.2.3' });
    const change = known.replace('a', [moved]);
    expect(change.add).toEqual([moved]);
    expect(change.remove.map(({ ipv4 }) => ipv4).sort()).toEqual(['10.64.0.1', '10.64.0.2']);
    expect(change).toMatchObject({ addHosts: ['192.0.2.3'], removeHosts: [] });
    expect(known.replace('b', [])).toMatchObject({ removeHosts: ['192.0.2.2'] });
    expect(known.replace('a', [])).toMatchObject({ removeHosts: ['192.0.2.3'] });
    expect([known.size, known.elements()]).toEqual([0, []]);
  });

  it('leaves an address to the part that named it last', () => {
    const known = new RemoteContainers(OPTIONS);
    known.replace('a', [remote(1)]);
    expect(known.replace('b', [remote(1, { tenant: 6 })])).toMatchObject({
      add: [{ tenant: 6 }],
      remove: [{ tenant: 5 }],
    });
    expect(known.replace('a', [])).toEqual(NOTHING);
    expect(known.all()).toMatchObject([{ tenant: 6 }]);
  });
});

it.each([
  ['this host itself', { hostAddress: '192.0.2.1' }],
  ['a host of the other family', { hostAddress: '2001:db8::1' }],
  ['a host within the pool', { hostAddress: '10.64.0.9' }],
  ['a loopback', { hostAddress: '127.0.0.1' }],
  ['a multicast address', { hostAddress: '224.0.0.1' }],
  ['cloud metadata', { hostAddress: '169.254.169.254' }],
  ['an address outside of the pool', { ipv4: '192.0.2.7' }],
  ['an IPv6 address outside of the pool', { ipv6: 'fd00:1::7' }],
])('%s is left out', (_what, change) => {
  expect(new RemoteContainers(OPTIONS).replace('a', [remote(1, change)])).toEqual(NOTHING);
});

it.each([
  ['192.0.2.2', true, ['192.0.2.2', hostKeys('192.0.2.2').gateway6]],
  ['2001:db8::2', true, [hostKeys('2001:db8::2').gateway6, hostKeys('2001:db8::2').gateway6]],
  ['192.0.2.2', false, ['192.0.2.2']],
  ['2001:db8::2', false, ['2001:db8::2', '2001:db8::2']],
])('routes to a host at %s, tunnelled: %s', (hostAddress, tunnelled, hops) => {
  expect(routesTo(remote(1, { hostAddress }), tunnelled).map(({ via }) => via)).toEqual(hops);
});

it('a host has the same keys for each way to write its address', () => {
  expect(hostKeys('2001:db8:0::2')).toEqual(hostKeys('2001:DB8::2'));
  expect(hostKeys('2001:db8::2').gateway6).toMatch(/^fe80::/);
});
