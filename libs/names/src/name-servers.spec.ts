import { expect, it } from '@jest/globals';
import { nameServers } from './name-servers.js';

const OWN = ['169.254.1.1'];

it.each<[string, string, string[]]>([
  ['nothing', '', []],
  ['comments', '# nameserver 192.0.2.1\n; nameserver 192.0.2.2\n', []],
  ['both families', 'nameserver 192.0.2.1\nnameserver 2001:db8::1\n', ['192.0.2.1', '2001:db8::1']],
  ['a link-local address with its interface', 'nameserver fe80::1%eth0', ['fe80::1%eth0']],
  ['blanks and text behind', '  nameserver\t192.0.2.1   # office\r\n', ['192.0.2.1']],
  ['this resolver', 'nameserver 169.254.1.1\nnameserver 192.0.2.1', ['192.0.2.1']],
  ['this resolver only', 'nameserver 169.254.1.1', []],
  ['this resolver by IPv6', 'nameserver ::ffff:169.254.1.1', []],
  ['no address', 'nameserver\nnameserver resolver.example\nnameserver 0.0.0.0\nnameserver 999.1.1.1', []],
  ['the same twice', 'nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.2', ['192.0.2.1', '192.0.2.2']],
  [
    'a hundred lines',
    Array.from({ length: 100 }, (_, index) => `nameserver 192.0.2.${index}`).join('\n'),
    ['192.0.2.0', '192.0.2.1', '192.0.2.2'],
  ],
  ['other settings', 'search example.com\noptions ndots:5\nnameserver 127.0.0.53\nsortlist 1.2.3.4', ['127.0.0.53']],
  ['bytes of no text', '\u0000\u0001nameserver\nnameserver 192.0.2.1\u0000', []],
])('a file with %s', (_what, text, servers) => expect(nameServers(text, OWN)).toEqual(servers));
