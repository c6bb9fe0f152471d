import { describe, expect, it } from '@jest/globals';
import { goneLine, headerLine, type NamedContainer, readChange, readHeader, setLine } from './zone-journal.js';

const ID = '0123456789abcdef0123456789abcdef';
const HEADER = {
  domain: 'plinth.internal',
  pools: ['10.64.0.0/10', 'fd00:706c:696e::/64'],
  resolvConf: '/etc/resolv.conf',
  hasIpv6: true,
  program: '/opt/plinth/name-resolver.js',
  builtAtMs: 1_790_000_000_000,
};
const CONTAINER: NamedContainer = {
  id: ID,
  name: 'shop-1',
  tenant: 'acme',
  ipv4: '10.64.0.7',
  ipv6: 'fd00:706c:696e::a40:7',
  local: true,
  forwards: true,
};

it('is read as it was written', () => {
  expect(readHeader(headerLine(HEADER))?.header).toEqual(HEADER);
  expect(readChange(setLine(CONTAINER))).toEqual({ kind: 'set', container: CONTAINER });
  expect(readChange(goneLine(ID))).toEqual({ kind: 'gone', id: ID });
});

describe('a header', () => {
  const { program, builtAtMs } = HEADER;
  it('of another format names the newer program', () => {
    expect(readHeader(JSON.stringify({ format: 9, program, builtAtMs, names: 'elsewhere' }))).toEqual({
      program,
      builtAtMs,
    });
  });

  it.each<[string, object]>([
    ['a domain that is none', { domain: 'Plinth..internal' }],
    ['a pool that is none', { pools: ['10.64.0.0/33'] }],
    ['pools of another kind', { pools: 'all' }],
    ['a relative path', { resolvConf: 'resolv.conf' }],
  ])('with %s is not used', (_what, wrong) =>
    expect(readHeader(JSON.stringify({ format: 1, ...HEADER, ...wrong }))?.header).toBeUndefined(),
  );

  it.each(['', '{', '[]', 'null', '{"format":1}', JSON.stringify({ ...HEADER, program: 'x.js' })])(
    'that is %p is none',
    (line) => expect(readHeader(line)).toBeUndefined(),
  );
});

it.each<[string, object]>([
  ['an id', { id: '../../etc' }],
  ['a name', { name: 'Shop' }],
  ['a name of 64 characters', { name: 'a'.repeat(64) }],
  ['a name with a dot', { name: 'shop.evil' }],
  ['a tenant', { tenant: '' }],
  ['an IPv4 address', { ipv4: '10.64.0.256' }],
  ['an IPv6 address', { ipv6: 'fe80::1%eth0' }],
  ['where it runs', { local: 'yes' }],
  ['whether it forwards', { forwards: undefined }],
])('a line with %s that is none is left out', (_what, wrong) =>
  expect(readChange(JSON.stringify({ ...CONTAINER, ...wrong }))).toBeUndefined(),
);

it('a torn line is left out', () => expect(readChange(setLine(CONTAINER).slice(0, 40))).toBeUndefined());
