import { describe, expect, it } from '@jest/globals';
import type { EgressTarget } from '../container-network.js';
import { egressParts } from './egress-ranges.js';

const written = (targets: EgressTarget[], family: 4 | 6 = 4): string[] =>
  egressParts(targets, family).flatMap(({ addresses, services }) =>
    services === undefined ? [addresses] : services.map(({ protocol, ports }) => `${addresses} ${protocol} ${ports}`),
  );

describe('egress lists without overlap', () => {
  it.each<[string, EgressTarget[], string[]]>([
    ['nothing', [], []],
    ['everything', [{ network: '0.0.0.0/0' }], ['0.0.0.0/0']],
    ['the same twice', [{ network: '10.0.0.0/8' }, { network: '10.1.2.3/8' }], ['10.0.0.0/8']],
    ['neighbours', [{ network: '10.0.0.0/9' }, { network: '10.128.0.0/9' }], ['10.0.0.0/9', '10.128.0.0/9']],
    [
      'one within another that permits more',
      [{ network: '192.0.2.0/30', protocol: 'tcp', ports: ['80'] }, { network: '192.0.2.1' }],
      ['192.0.2.0 tcp 80', '192.0.2.1', '192.0.2.2/31 tcp 80'],
    ],
    [
      'ports that meet',
      [
        { network: '192.0.2.1', protocol: 'udp', ports: ['53', '54-60'] },
        { network: '192.0.2.1', protocol: 'udp', ports: ['58-70', '80'] },
      ],
      ['192.0.2.1 udp 53-70', '192.0.2.1 udp 80'],
    ],
    ['a protocol without ports', [{ network: '192.0.2.1', protocol: 'tcp' }], ['192.0.2.1 tcp 0-65535']],
    ['ports of both protocols', [{ network: '192.0.2.1', ports: ['53'] }], ['192.0.2.1 tcp 53', '192.0.2.1 udp 53']],
    [
      'ranges that are no network',
      [{ network: '10.0.0.0/30' }, { network: '10.0.0.1', protocol: 'tcp' }],
      ['10.0.0.0', '10.0.0.1', '10.0.0.2/31'],
    ],
    ['the other family', [{ network: 'fd00::/8' }], []],
  ])('%s', (_, targets, expected) => expect(written(targets)).toEqual(expected));

  it('has IPv6 networks too', () => {
    expect(written([{ network: '2001:db8::/32' }, { network: '10.0.0.0/8' }], 6)).toEqual(['2001:db8::/32']);
    expect(written([{ network: '::/0' }], 6)).toEqual(['::/0']);
  });

  it.each(['0-', '80-79', '65536', 'http', '-1', ''])('refuses the port %j', (port) =>
    expect(() => egressParts([{ network: '10.0.0.1', ports: [port] }], 4)).toThrow(RangeError),
  );
});
