import { describe, expect, it } from '@jest/globals';
import { ContainerRequested, decodePayload } from './index.js';

const problems = (body: object): string[] => {
  const decoded = decodePayload(ContainerRequested, Buffer.from(JSON.stringify(body)));
  return decoded.ok ? [] : decoded.problems.map(({ path, message }) => `${path}: ${message}`);
};
const many = (count: number): object[] => Array.from({ length: count }, (_, index) => ({ container: index + 1 }));
const list = (to: unknown): object => ({ egress: { policy: 'list', to } });

describe('a request for a network', () => {
  it.each([
    ['nothing', {}],
    ['each network', { network: 'container' }],
    ['a port', { ports: [{ container: 80 }] }],
    ['no ports', { ports: [] }],
    ['64 ports', { ports: many(64) }],
    ['the limits', { ports: [{ container: 65_535, host: 1, protocol: 'udp', address: '2001:db8::1' }] }],
    [
      'one port for both protocols',
      {
        ports: [
          { container: 53, host: 53 },
          { container: 53, host: 53, protocol: 'udp' },
        ],
      },
    ],
    [
      'one container port at two host ports',
      {
        ports: [
          { container: 80, host: 80 },
          { container: 80, host: 81 },
        ],
      },
    ],
    ['ports and the network container', { network: 'container', ports: [{ container: 80 }] }],
    ['no egress', { egress: { policy: 'none' } }],
    [
      'destinations',
      list([{ network: '10.0.0.0/8' }, { network: '::/0', protocol: 'tcp', ports: ['443', '8000-8100'] }]),
    ],
  ])('may name %s', (_what, body) => expect(problems(body)).toEqual([]));

  it.each<[string, object, RegExp]>([
    ['an unknown network', { network: 'bridge' }, /network: .*container, isolated, host/],
    ['ports that are no list', { ports: { container: 80 } }, /ports: /],
    ['a port that is no object', { ports: [80] }, /ports/],
    ['no container port', { ports: [{ host: 80 }] }, /ports\[0\]\.container: /],
    ['port 0', { ports: [{ container: 0 }] }, /container must not be less than 1/],
    ['port 65536', { ports: [{ container: 80, host: 65_536 }] }, /host must not be greater than 65535/],
    ['half a port', { ports: [{ container: 80.5 }] }, /integer/],
    ['a port in words', { ports: [{ container: '80' }] }, /integer/],
    ['65 ports', { ports: many(65) }, /ports: .*no more than 64/],
    ['sctp', { ports: [{ container: 80, protocol: 'sctp' }] }, /tcp, udp/],
    [
      'a host port twice',
      {
        ports: [
          { container: 80, host: 80 },
          { container: 81, host: 80 },
        ],
      },
      /host port 80\/tcp twice/,
    ],
    [
      'a host port twice, once with its protocol',
      {
        ports: [
          { container: 80, host: 80, protocol: 'tcp' },
          { container: 81, host: 80, address: '192.0.2.1' },
        ],
      },
      /host port 80\/tcp twice/,
    ],
    ['a container port twice', { ports: [{ container: 80 }, { container: 80 }] }, /container port 80\/tcp .*twice/],
    ['a host by its name', { ports: [{ container: 80, address: 'localhost' }] }, /IPv4 or IPv6 address/],
    ['an address of the loopback', { ports: [{ container: 80, address: '127.0.0.2' }] }, /loopback/],
    ['the gateway of containers', { ports: [{ container: 80, address: '169.254.1.1' }] }, /link-local/],
    ['an address with a zone', { ports: [{ container: 80, address: 'fe80::1%eth0' }] }, /without a zone/],
    ['an unknown field', { ports: [{ container: 80, from: [] }] }, /from should not exist/],
    [
      'ports without a network',
      { network: 'isolated', ports: [{ container: 80 }] },
      /ports needs the network container/,
    ],
    ["ports of the host's network", { network: 'host', ports: [{ container: 80 }] }, /leave out network or ports/],
    ["egress of the host's network", { network: 'host', egress: { policy: 'none' } }, /egress needs the network/],
    ['an unknown policy', { egress: { policy: 'deny' } }, /allow, none, list/],
    ['a policy in one word', { egress: 'none' }, /egress/],
    ['a list without destinations', { egress: { policy: 'list' } }, /list needs destinations/],
    ['an empty list', list([]), /list needs destinations/],
    ['destinations without a list', { egress: { policy: 'none', to: [{ network: '10.0.0.0/8' }] } }, /must be list/],
    ['65 destinations', list(Array.from({ length: 65 }, () => ({ network: '10.0.0.0/8' }))), /no more than 64/],
    ['a network without a prefix', list([{ network: '10.0.0.0' }]), /CIDR/],
    ['a network with bits after the prefix', list([{ network: '10.0.0.1/8' }]), /no bit set after the prefix/],
    ['a destination without a network', list([{ ports: ['80'] }]), /CIDR/],
    ['a port as a number', list([{ network: '10.0.0.0/8', ports: [443] }]), /such as 443, or a range/],
    ['a range that goes down', list([{ network: '10.0.0.0/8', ports: ['90-80'] }]), /lower port/],
    ['a port above 65535', list([{ network: '10.0.0.0/8', ports: ['65536'] }]), /1 to 65535/],
    ['no ports in a list', list([{ network: '10.0.0.0/8', ports: [] }]), /1 to 15/],
    ['16 ports', list([{ network: '10.0.0.0/8', ports: Array.from({ length: 16 }, () => '80') }]), /1 to 15/],
  ])('may not name %s', (_what, body, message) => expect(problems(body).join('\n')).toMatch(message));
});
