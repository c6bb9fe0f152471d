import { partOfPool, readRoutes, unusablePools } from './address-pool.js';

const PARTS = Array.from({ length: 64 }, (_, index) => `10.${64 + index}.0.0/16`);
const HEADER = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
/** `10.84.0.0/16` as /proc/net/route has it. */
const line = (network: string): string => {
  const [address = '', length = ''] = network.split('/');
  const hex = (bytes: readonly number[]): string => Buffer.from(bytes).reverse().toString('hex').toUpperCase();
  const mask = (0xffffffff << (32 - Number(length))) >>> 0;
  const bytes = [24, 16, 8, 0].map((shift) => (mask >>> shift) & 0xff);
  return `eth0\t${hex(address.split('.').map(Number))}\t00000000\t0001\t0\t0\t0\t${hex(bytes)}\t0\t0\t0`;
};

describe('partOfPool', () => {
  it('is a part of the default pool, the same again for a home, and others for most others', () => {
    const homes = Array.from({ length: 200 }, (_, index) => `/home/${index}/.plinth`);
    const parts = homes.map((home) => partOfPool(home, []));
    expect(parts.every((part) => PARTS.includes(part))).toBe(true);
    expect(homes.map((home) => partOfPool(home, []))).toEqual(parts);
    expect(new Set(parts).size).toBeGreaterThan(32);
  });

  it('overlaps nothing to which the machine has a route: a container of another installation, a network', () => {
    const own = partOfPool('/h', []);
    const [, second = ''] = own.split('.');
    for (const taken of [`10.${second}.3.4/32`, `10.${second}.0.0/16`, `10.${second}.128.0/17`]) {
      const other = partOfPool('/h', readRoutes([HEADER, line(taken), ''].join('\n')));
      expect(PARTS).toContain(other);
      expect(other).not.toBe(own);
    }
    const half = partOfPool('/h', readRoutes([HEADER, line('10.64.0.0/11')].join('\n')));
    expect(Number(half.split('.')[1])).toBeGreaterThanOrEqual(96);
  });

  it('takes no default route for one, and remains a part when all are taken: the agent says what overlaps', () => {
    const routes = readRoutes([HEADER, line('0.0.0.0/0'), line('192.0.2.0/24')].join('\n'));
    expect(partOfPool('/h', routes)).toBe(partOfPool('/h', []));
    expect(partOfPool('/h', readRoutes([HEADER, line('10.0.0.0/8')].join('\n')))).toBe(partOfPool('/h', []));
  });
});

it.each<[string, Record<string, string>, RegExp]>([
  ['no network', { PLINTH_ADDRESS_POOL: '10.0.0.0/33' }, /^PLINTH_ADDRESS_POOL must be an IPv4 network in CIDR form/],
  ['one of a meaning of its own', { PLINTH_ADDRESS_POOL: '127.0.0.0/8' }, /^PLINTH_ADDRESS_POOL must not overlap/],
  ['no prefix of 64 bits', { PLINTH_ADDRESS_POOL6: 'fd00::/48' }, /^PLINTH_ADDRESS_POOL6 must be an IPv6 network/],
])('a pool that is %s is refused', (_what, pools, problem) => {
  expect(unusablePools(pools)).toEqual([expect.stringMatching(problem)]);
});
