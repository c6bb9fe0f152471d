import { describe, expect, it } from '@jest/globals';
import { portInUse, readListening } from './listening-ports.js';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n';
const TCP = `${HEAD}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 00000000:0016 00000000:0000 0A 00000000:00000000
   2: 010200C0:01BB 00000000:0000 0A 00000000:00000000
   3: 010200C0:8001 020200C0:0050 01 00000000:00000000
`;
const TCP6 = `${HEAD}   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0
   1: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0
`;
const UDP = `${HEAD}  10: 00000000:0035 00000000:0000 07 00000000:00000000
  11: 010200C0:D431 020200C0:0035 01 00000000:00000000
`;

describe('sockets of the host', () => {
  const tcp = [...readListening('tcp', TCP), ...readListening('tcp', TCP6)];
  const udp = readListening('udp', UDP);

  it('that wait for anybody are read', () => {
    expect(tcp.map(({ address, port }) => `${address} ${port}`)).toEqual([
      '127.0.0.1 8080',
      '0.0.0.0 22',
      '192.0.2.1 443',
      ':: 80',
      '::1 81',
    ]);
    expect(udp).toEqual([{ protocol: 'udp', port: 53, address: '0.0.0.0' }]);
  });

  it.each<[string, 'tcp' | 'udp', number, string | undefined, boolean]>([
    ['on every address', 'tcp', 22, undefined, true],
    ['on every address, for one of them', 'tcp', 22, '192.0.2.9', true],
    ['on every address of IPv6', 'tcp', 80, undefined, true],
    ['on one, for every address', 'tcp', 443, undefined, true],
    ['on one, for that', 'tcp', 443, '192.0.2.1', true],
    ['on one, for another', 'tcp', 443, '192.0.2.9', false],
    ['on the loopback only', 'tcp', 8080, undefined, false],
    ['on the loopback of IPv6 only', 'tcp', 81, undefined, false],
    ['of the other protocol', 'udp', 22, undefined, false],
    ['of UDP', 'udp', 53, undefined, true],
  ])('are in the way of a published port: %s', (_what, protocol, hostPort, hostAddress, expected) => {
    const port = { protocol, hostPort, containerPort: 1, ...(hostAddress !== undefined && { hostAddress }) };
    expect(portInUse([port], [...tcp, ...udp])).toEqual(expected ? port : undefined);
  });
});
