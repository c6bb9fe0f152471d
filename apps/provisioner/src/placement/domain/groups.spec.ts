import { describe, expect, it } from '@jest/globals';
import type { GroupRules } from '@plinth/contracts';
import { candidateHost } from '../../testing/candidate-host.js';
import { chooseHosts } from './choice.js';
import { Groups, groupsOf } from './groups.js';
import { sampleHosts } from './host-sample.js';
import type { PlacementNeeds } from './needs.js';
import type { CandidateHost } from './placement.js';
import { Places } from './places.js';

const rack = (name: string, labels: Record<string, string>, containers = 0): CandidateHost =>
  candidateHost(name, { labels, allocated: { memoryBytes: 0, cpus: 0, containers } });
const HOSTS = [
  rack('a1', { rack: 'a' }),
  rack('a2', { rack: 'a' }),
  rack('b1', { rack: 'b' }),
  rack('b2', { rack: 'b' }),
  rack('none', {}),
];
const NEEDS: PlacementNeeds = {
  resources: { memoryBytes: 1, cpus: 0.1, containers: 1 },
  network: 'isolated',
  isHeld: false,
  users: 'own',
};

function groupsWith(at: Readonly<Record<string, number>>, hosts = HOSTS): Groups {
  const members = Object.entries(at).map(([name, count]) => ({
    tenant: 't',
    group: 'web',
    count,
    ...(hosts.find(({ host }) => host === name) ?? candidateHost(name)),
  }));
  return new Groups(members, new Places(hosts));
}

/** Names, best first, or the reason. */
function choose(rules: GroupRules, at: Readonly<Record<string, number>>, more: Partial<PlacementNeeds> = {}) {
  const needs = { ...NEEDS, ...more };
  const groups = groupsWith(at).needsOf('t', rules, needs);
  const choice = chooseHosts(HOSTS, { ...needs, groups }, 'least-loaded', 0, 0);
  return choice.ok ? choice.ranked.map(({ host }) => host.host).join(' ') : choice.reason;
}

describe('a spread', () => {
  const SPREAD = { group: 'web', spread: { over: 'rack' } };
  const REQUIRED = { group: 'web', spread: { over: 'rack', isRequired: true } };
  it.each([
    ['begins anywhere', SPREAD, {}, 'a1 a2 b1 b2 none'],
    ['prefers the rack with the fewest, a host without a rack comes last', SPREAD, { a1: 1 }, 'b1 b2 a1 a2 none'],
    ['counts all hosts of a rack', SPREAD, { a1: 1, a2: 1, b1: 1 }, 'b1 b2 a1 a2 none'],
    ['that is required has those racks only', REQUIRED, { a1: 1 }, 'b1 b2'],
    ['that is required begins again when it is even', REQUIRED, { a1: 1, b2: 1 }, 'a1 a2 b1 b2'],
    ['over hosts', { group: 'web', spread: { over: 'host', isRequired: true } }, { a1: 1, b1: 1 }, 'a2 b2 none'],
    ['of a label that no host has', { group: 'web', spread: { over: 'row', isRequired: true } }, {}, 'spread-not-met'],
  ])('%s', (_what, rules, at, expected) => expect(choose(rules, at)).toBe(expected));

  it('is counted where the container may be', () => {
    const constraints = [{ key: 'rack', operator: 'in' as const, values: ['a'] }];
    expect(choose(REQUIRED, { a1: 5 }, { constraints })).toBe('a1 a2');
    expect(choose(REQUIRED, { a1: 5 })).toBe('b1 b2');
  });

  it('sees each that is placed', () => {
    const groups = groupsWith({});
    const placed: string[] = [];
    for (let round = 0; round < 6; round++) {
      const needs = { ...NEEDS, groups: groups.needsOf('t', REQUIRED, {}) };
      const choice = chooseHosts(HOSTS, needs, 'random', 0.99, 0);
      if (!choice.ok || !choice.ranked[0]) throw new Error('none');
      const { host } = choice.ranked[0];
      placed.push(host.labels['rack'] ?? '');
      groups.add({ tenant: 't', group: 'web' }, host);
    }
    expect(placed.sort().join('')).toBe('aaabbb');
  });
});

describe('affinity', () => {
  it.each<[string, GroupRules, string]>([
    ['prefers the host', { affinity: { group: 'web' } }, 'b1 a1 a2 b2 none'],
    ['prefers the rack', { affinity: { group: 'web', over: 'rack' } }, 'b1 b2 a1 a2 none'],
    ['that is required', { affinity: { group: 'web', over: 'rack', isRequired: true } }, 'b1 b2'],
    ['to nobody', { affinity: { group: 'db', isRequired: true } }, 'affinity-not-met'],
    ['of the first to its own group', { group: 'db', affinity: { isRequired: true } }, 'a1 a2 b1 b2 none'],
    ['against it prefers others', { antiAffinity: { group: 'web' } }, 'a1 a2 b2 none b1'],
    ['against it, by rack', { antiAffinity: { group: 'web', over: 'rack', isRequired: true } }, 'a1 a2 none'],
    ['of another tenant is nobody', { antiAffinity: { group: 'other', isRequired: true } }, 'a1 a2 b1 b2 none'],
  ])('%s', (_what, rules, expected) => expect(choose(rules, { b1: 2 })).toBe(expected));
});

it('names every group of its rules once', () =>
  expect(
    groupsOf('t', {
      group: 'web',
      spread: { over: 'rack' },
      affinity: { group: 'db' },
      antiAffinity: { group: 'web' },
    }),
  ).toEqual([
    { tenant: 't', group: 'web' },
    { tenant: 't', group: 'db' },
  ]));

describe('a sample for a group', () => {
  const many = Array.from({ length: 3_000 }, (_, index) =>
    rack(`h-${index}`, { rack: index < 2_990 ? 'big' : index < 2_999 ? 'small' : 'one' }),
  );
  const sample = (rules: GroupRules, containers: number): CandidateHost[] => {
    const needs = { ...NEEDS, groups: groupsWith({}, many).needsOf('t', rules, {}) };
    const names = sampleHosts(many, [{ containers, needs }], 'least-loaded', Math.random, 0);
    return many.filter(({ host }) => names.has(host));
  };

  it('has hosts of every place, also of rare ones', () => {
    const found = sample({ group: 'web', spread: { over: 'rack', isRequired: true } }, 12).map(({ labels }) => labels);
    expect(new Set(found.map(({ rack: name }) => name))).toEqual(new Set(['big', 'small', 'one']));
    expect(found.filter(({ rack: name }) => name === 'small').length).toBeGreaterThan(5);
  });

  it.each([
    ['spread over hosts', { group: 'web', spread: { over: 'host' } }],
    ['apart from each other', { group: 'web', antiAffinity: { isRequired: true } }],
  ])('that are %s has one for each', (_what, rules) => expect(sample(rules, 50).length).toBeGreaterThanOrEqual(50));
});

it('a container that leaves is not counted where it was, until it is counted there again', () => {
  const groups = groupsWith({ a1: 1, b1: 2 });
  const counts = () => {
    const { spread } = groups.needsOf('t', { group: 'web', spread: { over: 'rack' } }, {}) ?? {};
    return { ...Object.fromEntries(spread?.counts ?? []), fewest: spread?.fewest };
  };
  expect(counts()).toEqual({ a: 1, b: 2, fewest: 1 });
  const putBack = groups.take({ tenant: 't', group: 'web' }, 'a1');
  expect(counts()).toEqual({ b: 2, fewest: 0 });
  putBack();
  expect(counts()).toEqual({ a: 1, b: 2, fewest: 1 });
  groups.take({ tenant: 't', group: 'web' }, 'b1');
  expect(counts()).toEqual({ a: 1, b: 1, fewest: 1 });
});
