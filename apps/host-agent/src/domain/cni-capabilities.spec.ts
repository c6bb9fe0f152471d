import { describe, expect, it } from '@jest/globals';
import type { ContainerConfig } from '@plinth/contracts';
import { cniRefusal, cniCapabilities } from './cni-capabilities.js';
import { interfaceCounters } from './interface-counters.js';
import { resolverText } from './resolver-text.js';

const config = (overrides: Partial<ContainerConfig> = {}): ContainerConfig =>
  ({
    containerId: '0123456789abcdef0123456789abcdef',
    network: 'container',
    address: { ipv4: '10.64.0.7', ipv6: 'fd00::7' },
    tenantNumber: 1,
    ...overrides,
  }) as ContainerConfig;
const ports: ContainerConfig['ports'] = [
  { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
  { protocol: 'udp', hostPort: 5300, containerPort: 53, hostAddress: '192.0.2.1' },
];

describe('plugins are given', () => {
  it.each([
    [config(), { ips: ['10.64.0.7/10'] }],
    [config({ network: 'isolated' }), {}],
    [
      config({ ports }),
      {
        ips: ['10.64.0.7/10'],
        portMappings: [
          { protocol: 'tcp', hostPort: 8080, containerPort: 80 },
          { protocol: 'udp', hostPort: 5300, containerPort: 53, hostIP: '192.0.2.1' },
        ],
      },
    ],
    [
      config({ bandwidth: { receiveBitsPerSecond: 1_000_000_000 } }),
      { ips: ['10.64.0.7/10'], bandwidth: { ingressRate: 1_000_000_000, ingressBurst: 10_000_000 } },
    ],
    [
      config({ bandwidth: { receiveBitsPerSecond: 8_000, sendBitsPerSecond: 1e13 } }),
      {
        ips: ['10.64.0.7/10'],
        bandwidth: { ingressRate: 8_000, ingressBurst: 131_072, egressRate: 1e13, egressBurst: 2 ** 34 },
      },
    ],
  ])('of %j: %j', (given, wishes) => {
    expect(cniCapabilities(given, '10.64.0.0/10')).toEqual(wishes);
  });
});

it.each([
  [config(), { policy: 'none' as const }, /^this host has the network shop-net of CNI, .* its tenant /],
  [config(), { policy: 'allow' as const }, /^$/],
  [config({ network: 'isolated' }), { policy: 'none' as const }, /^$/],
])('of a tenant with a policy: %j %j', (given, policy, why) => {
  expect(cniRefusal(given, policy, 'shop-net', () => true) ?? '').toMatch(why);
});

describe('a container', () => {
  const none = (): boolean => false;
  const all = (): boolean => true;
  it.each([
    [config(), none, undefined],
    [config({ ports, bandwidth: { sendBitsPerSecond: 1 } }), all, undefined],
    [config({ ports }), none, /capability portMappings: no port/],
    [config({ bandwidth: { sendBitsPerSecond: 1 } }), none, /capability bandwidth: no bandwidth/],
    [config({ egress: { policy: 'none' } }), all, /^this host has the network shop-net of CNI, .* egress policy/],
    [config({ egress: { policy: 'allow' } }), none, undefined],
    [config({ network: 'isolated', egress: { policy: 'none' } }), none, undefined],
  ])('%j', (given, offers, why) => {
    const refusal = cniRefusal(given, undefined, 'shop-net', offers);
    if (why === undefined) expect(refusal).toBeUndefined();
    else expect(refusal).toMatch(why);
  });
});

it('counters of an interface are read by its name', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       1       2    0    0    0     0          0         0        3       4    0    0    0     0       0          0
  eth0: 1000 20    0    0    0     0          0         0     300       4    0    0    0     0       0          0
`;
  expect(interfaceCounters(text, 'eth0')).toEqual({
    receivedBytes: 1000,
    receivedPackets: 20,
    sentBytes: 300,
    sentPackets: 4,
  });
  expect(interfaceCounters(text, 'eth')).toBeUndefined();
});

it.each([
  [{ nameServers: [], search: ['a.example'], options: [] }, '# This container has no name server.\n'],
  [{ nameServers: ['192.0.2.1', 'fd00::1'], search: [], options: [] }, 'nameserver 192.0.2.1\nnameserver fd00::1\n'],
  [
    { nameServers: ['192.0.2.1'], search: ['a.example', 'b'], options: ['ndots:2'] },
    'nameserver 192.0.2.1\nsearch a.example b\noptions ndots:2\n',
  ],
])('of %j is made the resolv.conf %j', (settings, text) => {
  expect(resolverText(settings)).toBe(text);
});
