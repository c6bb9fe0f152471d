import { describe, expect, it } from '@jest/globals';
import { sampleHosts, sampleSize } from './host-sample.js';
import { candidateHost } from '../../testing/candidate-host.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost, PlacementPolicyName } from './placement.js';

const NEEDS: PlacementNeeds = {
  resources: { memoryBytes: 100, cpus: 0.1, containers: 1 },
  network: 'isolated',
  isHeld: false,
  users: 'own',
};

const host = (index: number, containers: number, over: Partial<CandidateHost> = {}): CandidateHost =>
  candidateHost(`host-${String(index).padStart(5, '0')}`, {
    capacity: { memoryBytes: 10_000, cpus: 10, containers: 100 },
    allocated: { memoryBytes: containers * 100, cpus: containers * 0.1, containers },
    ...over,
  });

/** The same sequence for the same seed (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const sample = (
  hosts: readonly CandidateHost[],
  containers: number,
  policy: PlacementPolicyName = 'least-loaded',
  needs: Partial<PlacementNeeds> = {},
  turn = 0,
): string[] => [...sampleHosts(hosts, [{ containers, needs: { ...NEEDS, ...needs } }], policy, numbers(1), turn)];

describe('a sample of hosts', () => {
  it.each([
    [1, 4],
    [16, 7],
    [128, 32],
    [10_000, 32],
  ])('for %d containers begins with %d hosts', (containers, size) => {
    expect(sampleSize(containers)).toBe(size);
    const empty = Array.from({ length: 1_000 }, (_, index) => host(index, 0));
    expect(sample(empty, Math.min(containers, 128))).toHaveLength(Math.min(size, sampleSize(128)));
  });

  it('has no full host, and of the others the emptier ones', () => {
    const hosts = Array.from({ length: 1_000 }, (_, index) => host(index, index % 10 === 0 ? 100 : (index % 10) * 10));
    const taken = sample(hosts, 128).map((name) => Number(name.slice(-1)));
    expect(taken).not.toContain(0);
    expect(taken.reduce((sum, digit) => sum + digit, 0) / taken.length).toBeLessThan(3);
  });

  it('is larger when the hosts are nearly full: there is room for all, twice', () => {
    const hosts = Array.from({ length: 1_000 }, (_, index) => host(index, 98));
    expect(sample(hosts, 128)).toHaveLength(128);
  });

  it('finds the only hosts that fit among all', () => {
    const hosts = Array.from({ length: 5_000 }, (_, index) => host(index, index === 4_321 ? 99 : 100));
    expect(sample(hosts, 10)).toEqual(['host-04321']);
    const open = Array.from({ length: 5_000 }, (_, index) => host(index, 0, index === 7 ? { datacenter: 'dc-2' } : {}));
    for (const policy of ['least-loaded', 'round-robin', 'random'] as const)
      expect(sample(open, 10, policy, { datacenter: 'dc-2' })).toEqual(['host-00007']);
  });

  it('has hosts that give their users by policy only where none gives containers their own', () => {
    const byPolicy = host(1, 0, { ownUsers: [], hostUsers: 'always' });
    expect(sample([byPolicy, host(2, 0)], 1)).toEqual(['host-00002']);
    expect(sample([byPolicy], 1)).toEqual(['host-00001']);
  });

  it('of round-robin begins at the turn', () => {
    const hosts = Array.from({ length: 10 }, (_, index) => host(index, 0));
    expect(sample(hosts, 1, 'round-robin', undefined, 8)).toEqual([8, 9, 0, 1].map((index) => `host-0000${index}`));
  });

  it('spreads ten thousand placements evenly', () => {
    const hosts = Array.from({ length: 200 }, (_, index) => host(index, 0));
    const random = numbers(7);
    const places = new Map(hosts.map(({ host: name }, place) => [name, place]));
    for (let batch = 0; batch < 100; batch++) {
      const names = [...sampleHosts(hosts, [{ containers: 100, needs: NEEDS }], 'least-loaded', random, 0)];
      for (let index = 0; index < 100; index++) {
        const place = places.get(names[index % names.length] ?? '') ?? 0;
        hosts[place] = host(place, (hosts[place]?.allocated.containers ?? 0) + 1);
      }
    }
    const counts = hosts.map(({ allocated }) => allocated.containers);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(10_000);
    expect([Math.min(...counts) > 40, Math.max(...counts) < 60]).toEqual([true, true]);
  });
});
