import { describe, expect, it } from '@jest/globals';
import type { ContainerNetwork, EgressTarget } from '../container-network.js';
import {
  type AttachedNetwork,
  changeText,
  difference,
  type Element,
  elementsInListing,
  elementsOf,
} from './elements.js';

const SHOP: AttachedNetwork = {
  containerId: 'a'.repeat(32),
  interface: 'plcabcd00000001',
  ipv4: '10.64.0.1',
  ipv6: 'fd00:706c:696e:0::0a40:0001',
  tenant: 7,
  ports: [],
  egress: { policy: 'allow' },
};

const lines = (change: Partial<ContainerNetwork>): string[] =>
  elementsOf({ ...SHOP, ...change }).map(
    ({ set, key, value }) => `${set}: ${key}${value === undefined ? '' : ` = ${value}`}`,
  );
const beyondOwn = (change: Partial<ContainerNetwork>): string[] => lines(change).slice(4);

describe('the elements of a container', () => {
  it('are its sources and its membership', () => {
    expect(lines({})).toEqual([
      'tenant4: plcabcd00000001 . 10.64.0.1 = 7',
      'tenant6: plcabcd00000001 . fd00:706c:696e::a40:1 = 7',
      'member4: 7 . 10.64.0.1',
      'member6: 7 . fd00:706c:696e::a40:1',
    ]);
  });

  const tcp = { protocol: 'tcp', hostPort: 8080, containerPort: 80 } as const;
  it.each<[string, ContainerNetwork['ports'], string[]]>([
    [
      'on every address of the host',
      [tcp],
      ['ports4: tcp . 8080 = 10.64.0.1 . 80', 'ports6: tcp . 8080 = fd00:706c:696e::a40:1 . 80'],
    ],
    ['on one address', [{ ...tcp, hostAddress: '192.0.2.2' }], ['bound4: 192.0.2.2 . tcp . 8080 = 10.64.0.1 . 80']],
    [
      'on one IPv6 address',
      [{ ...tcp, protocol: 'udp', hostAddress: 'fd00:0::2' }],
      ['bound6: fd00::2 . udp . 8080 = fd00:706c:696e::a40:1 . 80'],
    ],
    ['on all of IPv4', [{ ...tcp, hostAddress: '0.0.0.0' }], ['ports4: tcp . 8080 = 10.64.0.1 . 80']],
    ['on all of IPv6', [{ ...tcp, hostAddress: '::' }], ['ports6: tcp . 8080 = fd00:706c:696e::a40:1 . 80']],
  ])('publish a port %s', (_, ports, expected) => expect(beyondOwn({ ports })).toEqual(expected));

  const to = (...targets: EgressTarget[]): Partial<ContainerNetwork> => ({ egress: { policy: 'list', to: targets } });
  const limited = ['limited4: 10.64.0.1', 'limited6: fd00:706c:696e::a40:1'];
  it.each<[string, Partial<ContainerNetwork>, string[]]>([
    ['permit nothing', { egress: { policy: 'none' } }, limited],
    ['permit nothing by an empty list', to(), limited],
    [
      'permit a network with everything',
      to({ network: '192.0.2.7/24' }),
      [limited[0] ?? '', 'networks4: 10.64.0.1 . 192.0.2.0/24', limited[1] ?? ''],
    ],
    [
      'permit ports of an address',
      to({ network: 'fd00::2', protocol: 'tcp', ports: ['443', '8000-8100'] }),
      [
        ...limited,
        'services6: fd00:706c:696e::a40:1 . fd00::2 . tcp . 443',
        'services6: fd00:706c:696e::a40:1 . fd00::2 . tcp . 8000-8100',
      ],
    ],
  ])('%s', (_, change, expected) => expect(beyondOwn(change)).toEqual(expected));
});

describe('a change', () => {
  const one: Element = { set: 'member4', key: '7 . 10.64.0.1' };
  const mapped: Element = { set: 'tenant4', key: 'plcabcd00000001 . 10.64.0.1', value: '7' };
  it.each<[string, Element[], Element[], { add: Element[]; remove: Element[] }]>([
    ['of nothing', [one, mapped], [mapped, one], { add: [], remove: [] }],
    ['that adds', [], [one], { add: [one], remove: [] }],
    ['that removes', [one], [], { add: [], remove: [one] }],
    ['of a value', [mapped], [{ ...mapped, value: '8' }], { add: [{ ...mapped, value: '8' }], remove: [mapped] }],
  ])('%s', (_, present, wanted, expected) => expect(difference(present, wanted)).toEqual(expected));

  it('is one text, removals first', () => {
    expect(changeText('plinth_x', { add: [mapped, one], remove: [{ ...mapped, value: '6' }] }).split('\n')).toEqual([
      'delete element inet plinth_x tenant4 { "plcabcd00000001" . 10.64.0.1 }',
      'add element inet plinth_x tenant4 { "plcabcd00000001" . 10.64.0.1 : 7 }',
      'add element inet plinth_x member4 { 7 . 10.64.0.1 }',
    ]);
  });
});

it('reads elements from a listing', () => {
  const listing = {
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { set: { name: 'limited4', elem: ['10.64.0.1', { elem: { val: '10.64.0.2', counter: {} } }] } },
      {
        set: {
          name: 'services4',
          elem: [{ concat: ['10.64.0.1', { prefix: { addr: '192.0.2.0', len: 24 } }, 'tcp', { range: [80, 90] }] }],
        },
      },
      { map: { name: 'ports4', elem: [[{ concat: ['tcp', 8080] }, { concat: ['10.64.0.1', 80] }]] } },
      { map: { name: 'ports6' } },
    ],
  };
  expect(elementsInListing(listing)).toEqual([
    { set: 'limited4', key: '10.64.0.1' },
    { set: 'limited4', key: '10.64.0.2' },
    { set: 'services4', key: '10.64.0.1 . 192.0.2.0/24 . tcp . 80-90' },
    { set: 'ports4', key: 'tcp . 8080', value: '10.64.0.1 . 80' },
  ]);
  expect(() => elementsInListing({ nftables: [{ set: { name: 'x', elem: [{ other: 1 }] } }] })).toThrow(TypeError);
});
