import { describe, expect, it } from '@jest/globals';
import { isQuiet, mayChangeItsNetwork, ownFirstId } from './kept-network.js';

const sockets = (used: number, tcp: number, waiting: number, tcp6 = 0): string => `sockets: used ${used}
TCP: inuse ${tcp} orphan 3 tw ${waiting} alloc 68 mem 455
UDP: inuse 0 mem 193
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 0 memory 0
TCP6: inuse ${tcp6}
UDP6: inuse 0
`;

describe('a network is quiet', () => {
  it.each([
    ['with no socket, whatever other networks have', sockets(0, 0, 0), true],
    ['not with an open one', sockets(1, 0, 0), false],
    ['not with one that is closing', sockets(0, 1, 0), false],
    ['not with one that is closing, of IPv6', sockets(0, 0, 0, 1), false],
    ['not with one in TIME_WAIT', sockets(0, 0, 1), false],
    ['not when the kernel does not report it', '', false],
  ])('%s', (_name, text, expected) => expect(isQuiet(text)).toBe(expected));
});

describe('a process may change its network', () => {
  it.each([
    ['with CAP_NET_ADMIN', 'CapBnd:\t0000000000001000\n', true],
    ['with CAP_SYS_ADMIN', 'CapBnd:\t0000000000200000\n', true],
    ['not with the usual ones', 'Name:\tsleep\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n', false],
    ['when nothing is known of it', '', true],
  ])('%s', (_name, status, expected) => expect(mayChangeItsNetwork(status)).toBe(expected));
});

it.each([
  ['         0          0 4294967295\n', undefined],
  ['         0     524288      65536\n', 524_288],
])('reads the first id of %j', (map, expected) => expect(ownFirstId(map)).toBe(expected));
