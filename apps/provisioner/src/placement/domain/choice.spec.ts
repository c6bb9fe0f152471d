import { describe, expect, it } from '@jest/globals';
import type { HostUsers } from '@plinth/contracts';
import fc from 'fast-check';
import { candidateHost } from '../../testing/candidate-host.js';
import { chooseHosts, hostsOfKind } from './choice.js';
import { FILTER_NAMES, FILTERS } from './filters.js';
import type { PlacementNeeds } from './needs.js';
import { packed, type PackedPlacement, placementRecord, unpacked } from './placement-record.js';
import { type CandidateHost, PLACEMENT_POLICIES, type PlacementPolicyName } from './placement.js';

const NEEDS: PlacementNeeds = {
  resources: { memoryBytes: 100, cpus: 1, containers: 1 },
  network: 'isolated',
  isHeld: false,
  users: 'own',
  storageNodes: ['sn-1'],
};

const given = (
  name: string,
  allocated: Partial<CandidateHost['allocated']> = {},
  over: Partial<CandidateHost> = {},
): CandidateHost =>
  candidateHost(name, { allocated: { memoryBytes: 0, cpus: 0, containers: 0, ...allocated }, ...over });

/** Names, best first, or the refusal. */
function choose(
  hosts: readonly CandidateHost[],
  needs: Partial<PlacementNeeds> = {},
  policy: PlacementPolicyName = 'least-loaded',
  random = 0,
  turn = 0,
): readonly string[] | string {
  const kind = hostsOfKind(hosts, { ...NEEDS, ...needs });
  const choice = chooseHosts(kind.hosts, kind.needs, policy, random, turn, kind.exclusions);
  return choice.ok ? choice.ranked.map(({ host }) => host.host) : `${choice.reason}: ${choice.message}`;
}

it('has every filter once, in the order of their names', () =>
  expect(FILTERS.map(({ name }) => name)).toEqual(FILTER_NAMES));

describe('a policy', () => {
  it.each([
    ['least-loaded', 0, 0, ['b', 'a', 'c']],
    ['round-robin', 0, 0, ['a', 'b', 'c']],
    ['round-robin', 0, 4, ['b', 'c', 'a']],
    ['random', 0.99, 0, ['c', 'a', 'b']],
  ] as const)('%s orders', (policy, random, turn, expected) => {
    const hosts = [given('c', { memoryBytes: 500 }), given('a', { cpus: 1 }), given('b')];
    expect(choose(hosts, {}, policy, random, turn)).toEqual(expected);
  });

  it('least-loaded counts the load of near ones', () => {
    const busy = given('a', {}, { loadPerCore: 4 });
    expect(choose([busy, given('b', { memoryBytes: 300 }), given('c', { memoryBytes: 500 })])).toEqual(['b', 'a', 'c']);
  });

  it('least-loaded prefers storage with space, and of equal hosts one on which the image runs', () => {
    const hosts = ['sn-1', 'sn-2'].map((node) => given(node, {}, { storageNodes: [node] }));
    const space = { bytes: 1, free: { 'sn-1': 10, 'sn-2': 90 }, most: 90, isShort: false };
    expect(choose(hosts, { space, storageNodes: ['sn-1', 'sn-2'] })).toEqual(['sn-2', 'sn-1']);
    const equal = [given('a'), given('b'), given('c', { containers: 1 })];
    expect(choose(equal, { warm: new Set(['b']) })).toEqual(['b', 'a', 'c']);
    expect(choose(equal, { warm: new Set(['c']) })).toEqual(['a', 'b', 'c']);
  });

  it('least-loaded prefers, of hosts that are nearly equal, one that has the image', () => {
    const [fetches, has] = ['a', 'b'].map((name) => candidateHost(name, { hasStore: true }));
    const attached = candidateHost('c', { loadPerCore: 0.1 });
    const hosts = [fetches, has, attached].flatMap((host) => host ?? []);
    expect(choose(hosts, { image: 'os@v1', held: new Set(['b']) })).toEqual(['b', 'c', 'a']);
  });

  it('never offers a host that has no room', () => {
    const hosts = fc.array(fc.tuple(fc.nat(1_200), fc.nat(5), fc.nat(12)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        hosts,
        fc.constantFrom(...PLACEMENT_POLICIES),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.nat(),
        (rows, policy, random, turn) => {
          const all = rows.map(([memoryBytes, cpus, containers], index) =>
            given(`h-${index}`, { memoryBytes, cpus, containers }),
          );
          const chosen = choose(all, {}, policy, random, turn);
          const roomy = all
            .filter(({ allocated }) => allocated.memoryBytes <= 900 && allocated.cpus <= 3 && allocated.containers <= 9)
            .map(({ host }) => host);
          expect(typeof chosen === 'string' ? [] : [...chosen].sort()).toEqual(roomy.sort());
        },
      ),
    );
  });
});

describe('a host gets a container only', () => {
  const NETWORKED = { network: true, egressPolicies: true };
  const CNI = { network: true, egressPolicies: false };
  it.each<[string, Partial<PlacementNeeds>, Partial<CandidateHost>, Partial<CandidateHost>, string]>([
    ['in its data centre', { datacenter: 'dc-2' }, { datacenter: 'dc-2' }, {}, 'no-host'],
    ['where its image is', { storageNodes: ['sn-2'] }, { storageNodes: ['sn-2'] }, {}, 'no-host'],
    [
      'of its architecture',
      { architecture: 'arm64' },
      { labels: { arch: 'arm64' } },
      { labels: { arch: 'amd64' } },
      'architecture-not-offered',
    ],
    [
      'of its architecture, if that is known',
      { architecture: 'arm64' },
      {},
      { labels: { arch: 'amd64' } },
      'architecture-not-offered',
    ],
    ['with an address', { network: 'container' }, CNI, {}, 'network-not-offered'],
    ['held to its egress', { network: 'container', isHeld: true }, NETWORKED, CNI, 'network-not-offered'],
    ['held to its egress, if it has any', { network: 'auto', isHeld: true }, {}, CNI, 'network-not-offered'],
    ['held to the limit of its disk', { diskBytes: 1 }, { diskLimits: ['sn-1'] }, {}, 'disk-limit-not-offered'],
    ['held to its bandwidth', { limits: ['bandwidth'] }, {}, { missingLimits: ['bandwidth'] }, 'limits-not-offered'],
    [
      'held to its input and output',
      { limits: ['io-maxima'] },
      { missingLimits: ['memory', 'io-weight'] },
      { missingLimits: ['io-weight', 'io-maxima'] },
      'limits-not-offered',
    ],
    [
      'held to it where its image is',
      { diskBytes: 1, storageNodes: ['sn-1'] },
      { diskLimits: ['sn-1'] },
      { storageNodes: ['sn-1', 'sn-2'], diskLimits: ['sn-2'] },
      'disk-limit-not-offered',
    ],
    [
      'where its image is, or can be fetched',
      { storageNodes: ['sn-2'], image: 'debian-12@v1' },
      { hasStore: true },
      {},
      'no-host',
    ],
    [
      'where its volume is, when it moves',
      { storageNodes: ['sn-2'], isMove: true },
      { storageNodes: ['sn-2'], hasStore: true },
      { hasStore: true },
      'no-host',
    ],
    ['with users of its own', {}, { ownUsers: ['sn-1'] }, { ownUsers: ['sn-2'] }, 'own-users-not-offered'],
    [
      'where its storage has space',
      {
        space: { bytes: 10, free: { 'sn-1': 9, 'sn-2': 10 }, most: 10, isShort: true },
        storageNodes: ['sn-1', 'sn-2'],
      },
      { storageNodes: ['sn-2'] },
      {},
      'no-storage-space',
    ],
    ['with room', {}, {}, { allocated: { memoryBytes: 901, cpus: 0, containers: 0 } }, 'no-capacity'],
    ['with cores', {}, {}, { allocated: { memoryBytes: 0, cpus: 3.5, containers: 0 } }, 'no-capacity'],
    ['within its number', {}, {}, { allocated: { memoryBytes: 0, cpus: 0, containers: 10 } }, 'no-capacity'],
  ])('%s', (_what, needs, fits, not, reason) => {
    const hosts = [candidateHost('fits', fits), candidateHost('not', not)];
    expect(choose(hosts, needs)).toEqual(['fits']);
    expect(choose(hosts.slice(1), needs)).toMatch(new RegExp(`^${reason}: `));
  });

  it('without an egress policy in the network of the host', () =>
    expect(choose([candidateHost('a', NETWORKED)], { network: 'host', isHeld: true })).toMatch(
      /ask for the network c/,
    ));

  it('where the port that it asks for is free', () => {
    const ports = { on: new Set(['a']), message: () => 'taken' };
    expect(choose([given('a'), given('b')], { ports })).toEqual(['b']);
    expect(choose([given('a')], { ports })).toBe('port-taken: taken');
  });
});

describe('users of a container', () => {
  const host = (name: string, ownUsers: readonly string[] | null, hostUsers: HostUsers | null): CandidateHost =>
    candidateHost(name, { ownUsers, hostUsers });
  const OWN = host('own', ['sn-1'], 'never');
  const OWN_OR_ASKED = host('own-or-asked', ['sn-1'], 'request');
  const NEITHER = host('neither', [], 'never');
  const FALLBACK = host('fallback', [], 'fallback');
  const ALWAYS = host('always', [], 'always');
  const OLDER = host('older', null, null);

  it.each([
    ['are its own where they can', 'own', [OWN, NEITHER, OLDER], ['older', 'own']],
    ["are its own before the host's", 'own', [FALLBACK, OWN, ALWAYS], ['own']],
    ["are the host's by policy, where none gives its own", 'own', [FALLBACK, NEITHER, ALWAYS], ['always', 'fallback']],
    [
      "are the host's on request",
      'host-on-request',
      [OWN, OWN_OR_ASKED, ALWAYS, FALLBACK, OLDER],
      ['always', 'older', 'own-or-asked'],
    ],
  ] as const)('%s', (_what, users, hosts, expected) => expect(choose(hosts, { users })).toEqual(expected));

  it.each([
    ['own', [NEITHER], /^own-users-not-offered: the one ready host can not give .* plinth doctor on a host says why$/],
    ['host-on-request', [OWN, FALLBACK], /^host-users-not-offered: none of the 2 ready hosts allows .*_USERS=true/],
  ] as const)('that none gives are missed with what can be done: %s', (users, hosts, message) =>
    expect(choose(hosts, { users })).toMatch(message),
  );
});

it('is kept in little space, and comes back as it was', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((name) => given(name));
  const choice = chooseHosts([...hosts, given('full', { containers: 10 })], NEEDS, 'least-loaded', 0, 0);
  if (!choice.ok) throw new Error(choice.message);
  const decided = { policy: 'least-loaded' as const, ...choice, lookedAt: 5, hosts: 900 };
  const record = placementRecord('d', '2026-06-01T00:00:00.000Z', decided);
  expect(record).toMatchObject({ hosts: 900, lookedAt: 5, excluded: [{ filter: 'room', count: 1 }] });
  expect(record.scores.map(({ host }) => host)).toEqual(['a', 'b', 'd']);
  expect(unpacked(JSON.parse(JSON.stringify(packed(record))) as PackedPlacement)).toEqual(record);
});

describe('a refusal', () => {
  it('gives the reason of the last filter, and counts what each took', () => {
    const hosts = [
      given('a', {}, { datacenter: 'dc-2' }),
      given('b', { memoryBytes: 950 }),
      given('c', { memoryBytes: 950 }),
      given('d', {}, { storageNodes: ['sn-9'] }),
    ];
    expect(choose(hosts, { datacenter: 'dc-1' })).toMatch(
      /^no-capacity: no host has room .*; of 4 ready hosts: 1 in another data centre, 1 without a way to the storage, 2 without room$/,
    );
  });

  it.each<[string, readonly Partial<CandidateHost['allocated']>[], string]>([
    ['memory', [{ memoryBytes: 950 }], 'the one ready host has 0 MiB and 4 cores free, and takes 10 more containers;'],
    ['cores', [{ cpus: 3.9 }, { cpus: 3.2 }], 'of 2 ready hosts one has at the most 0 MiB and 0.8 cores free,'],
    ['places', [{ containers: 10 }], 'and takes 0 more containers;'],
    ['one host with all', [{ cpus: 3.9 }, { memoryBytes: 950 }], 'takes 10 more containers, but none has all of them;'],
  ])('for want of %s says what there is', (_, taken, expected) =>
    expect(choose(taken.map((allocated, index) => given(`h${index}`, allocated)))).toContain(expected),
  );

  it('has no counts when there is one reason', () => {
    expect(choose([given('a')], { datacenter: 'dc-9' })).toBe(
      'no-host: no host is ready in data centre dc-9; plinth hosts lists all hosts',
    );
    expect(choose([])).toBe('no-host: no host is ready; plinth hosts lists all hosts');
    expect(choose([], { isMove: true })).toMatch(/no other ready host/);
  });
});
