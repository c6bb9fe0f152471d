import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type CandidateHost, choosePlacement, PLACEMENT_POLICIES, placementPolicy } from './placement.js';

const host = (
  name: string,
  given: Partial<CandidateHost['allocated']> = {},
  over: Partial<CandidateHost> = {},
): CandidateHost => ({
  host: name,
  datacenter: 'dc-1',
  storageNodes: ['sn-1'],
  capacity: { memoryBytes: 1_000, cpus: 4, containers: 10 },
  allocated: { memoryBytes: 0, cpus: 0, containers: 0, ...given },
  loadPerCore: 0,
  network: false,
  egressPolicies: false,
  diskLimits: [],
  ownUsers: null,
  hostUsers: null,
  ...over,
});
const asked = { memoryBytes: 100, cpus: 1, containers: 1 };
const order = (
  hosts: CandidateHost[],
  policy: (typeof PLACEMENT_POLICIES)[number],
  random = 0,
  turn = 0,
): string[] | string => {
  const placement = choosePlacement(hosts, ['sn-1'], asked, placementPolicy(policy), random, turn);
  return placement.ok ? placement.hosts.map((item) => item.host) : placement.reason;
};

describe('placement', () => {
  it.each([
    ['least-loaded', 0, 0, ['b', 'a', 'c']],
    ['round-robin', 0, 0, ['a', 'b', 'c']],
    ['round-robin', 0, 4, ['b', 'c', 'a']],
    ['random', 0.99, 0, ['c', 'a', 'b']],
  ] as const)('%s orders', (policy, random, turn, expected) => {
    expect(order([host('c', { memoryBytes: 500 }), host('a', { cpus: 1 }), host('b')], policy, random, turn)).toEqual(
      expected,
    );
  });

  it.each([
    ['no host reaches the image', [host('a', {}, { storageNodes: ['sn-2'] })], 'no-host'],
    ['memory is used up', [host('a', { memoryBytes: 901 })], 'no-capacity'],
    ['cores are used up', [host('a', { cpus: 3.5 })], 'no-capacity'],
    ['the number is reached', [host('a', { containers: 10 })], 'no-capacity'],
  ])('refuses when %s', (_what, hosts, reason) => expect(order(hosts, 'least-loaded')).toBe(reason));

  it('never offers a host that has no room, under any policy', () => {
    const hosts = fc.array(fc.tuple(fc.nat(1_200), fc.nat(5), fc.nat(12)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        hosts,
        fc.constantFrom(...PLACEMENT_POLICIES),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.nat(),
        (given, policy, random, turn) => {
          const all = given.map(([memoryBytes, cpus, containers], index) =>
            host(`h-${index}`, { memoryBytes, cpus, containers }),
          );
          const placement = choosePlacement(all, ['sn-1'], asked, placementPolicy(policy), random, turn);
          const roomy = all
            .filter(({ allocated }) => allocated.memoryBytes <= 900 && allocated.cpus <= 3 && allocated.containers <= 9)
            .map((item) => item.host);
          expect(placement.ok ? [...placement.hosts.map((item) => item.host)].sort() : []).toEqual(roomy.sort());
        },
      ),
    );
  });
});
