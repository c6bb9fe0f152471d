import { describe, expect, it } from '@jest/globals';
import type { ContainerRequested, TenantPolicy } from '@plinth/contracts';
import type { ImageCatalogue } from '../../images/domain/image-resolution.js';
import type { CandidateHost } from '../../placement/domain/placement.js';
import { candidateHost } from '../../testing/candidate-host.js';
import { BatchState, type PlannedRequest } from './batch-plan.js';
import type { CreationRules } from './creation.js';

const catalogue: ImageCatalogue = {
  images: ['v1', 'v2'].map((version) => ({
    name: 'debian-12',
    version,
    state: 'promoted',
    contentDigest: `sha256:${version}`,
    storageNodes: version === 'v1' ? ['sn-1', 'sn-2'] : ['sn-2'],
  })),
  defaults: { 'debian-12': 'v1' },
  defaultOs: 'debian-12',
};
const rules: CreationRules = {
  defaults: { memoryBytes: 100, cpus: 1, pids: 10, openFiles: 10 },
  quota: { containers: 3 },
  policy: 'least-loaded',
  network: 'auto',
  storageReserve: 0,
};
const host = (name: string, over: Partial<CandidateHost> = {}): CandidateHost =>
  candidateHost(name, { capacity: { memoryBytes: 1_000, cpus: 100, containers: 2 }, ...over });

interface BatchOptions {
  readonly names?: readonly string[];
  readonly used?: number;
  readonly policies?: ReadonlyMap<string, TenantPolicy>;
}

/** Decides the requests one after the other. @returns `host`, `!reason` or `open` of each */
function decide(
  hosts: readonly CandidateHost[],
  isWhole: boolean,
  requests: readonly ContainerRequested[],
  { names = [], used = 0, policies }: BatchOptions = {},
): string[] {
  const usages = new Map([['default', { containers: used, memoryBytes: 0, diskBytes: 0 }]]);
  const state = new BatchState(hosts, isWhole, {
    catalogue,
    usages,
    names,
    portsTaken: [],
    policies: policies ?? new Map(),
  });
  return requests.map((request, index) => {
    const draws = {
      requestedAt: '',
      decidedAt: '',
      containerId: `id-${index}`,
      volumeId: '',
      hostDraw: 0,
      nodeDraw: 0,
    };
    const planned: PlannedRequest = state.decide(request, rules, { ...draws, turn: index });
    if (planned.kind === 'placed') state.give(planned);
    if (planned.kind === 'placed') return planned.host.host;
    return planned.kind === 'open' ? 'open' : `!${planned.refusal.reason}`;
  });
}

describe('a batch', () => {
  it('gives each host no more than it has room for, and spreads', () => {
    expect(decide([host('a'), host('b')], true, [{}, {}, {}])).toEqual(['a', 'b', 'a']);
    expect(decide([host('a', { capacity: { memoryBytes: 1_000, cpus: 9, containers: 1 } })], true, [{}, {}])).toEqual([
      'a',
      '!no-capacity',
    ]);
  });

  it('holds containers to the policy of their tenant', () => {
    const hosts = [host('a', { network: true }), host('b', { network: true, egressPolicies: true })];
    const requests = [{ network: 'container' as const }, { network: 'container' as const, tenant: 'other' }];
    const policies = new Map([['default', { policy: 'none' as const, revision: 1 }]]);
    expect(decide(hosts, true, requests, { policies })).toEqual(['b', 'a']);
    expect(decide(hosts, true, [{ network: 'host' }], { policies })).toEqual(['!network-not-offered']);
  });

  it('counts the quota over its own requests', () => {
    expect(decide([host('a'), host('b')], true, [{}, {}], { used: 2 })).toEqual(['a', '!quota-exceeded']);
  });

  it('gives a name once', () => {
    const requests = [{ name: 'x' }, { name: 'x' }, { name: 'y' }];
    expect(decide([host('a'), host('b')], true, requests, { names: ['default/y'] })).toEqual([
      'a',
      '!name-taken',
      '!name-taken',
    ]);
  });

  it('gives a host port that is asked for once on a host', () => {
    const requests = [1, 2].map(() => ({ ports: [{ container: 80, host: 8_080 }] }));
    const networked = host('a', { network: true, egressPolicies: true });
    expect(decide([networked], true, requests)).toEqual(['a', '!port-taken']);
  });

  it('lets a port that one asks for be no matter of the others', () => {
    const networked = host('a', { network: true, egressPolicies: true });
    const others = [{}, { ports: [{ container: 80, host: 9_090 }] }];
    for (const other of others)
      expect(decide([networked], true, [{ ports: [{ container: 80, host: 8_080 }] }, other])).toEqual(['a', 'a']);
  });

  it.each([
    ['no room', [host('a', { capacity: { memoryBytes: 1, cpus: 1, containers: 1 } })], {}],
    ['another data centre', [host('a')], { datacenter: 'dc-2' }],
    ['an image for which another stands in', [host('a')], { image: 'debian-12@v2' }],
    ['no users of its own', [host('a', { ownUsers: [], hostUsers: 'fallback' as const })], {}],
  ])('leaves open what other hosts may change: %s', (_, hosts, request) => {
    expect(decide(hosts, false, [request])).toEqual(['open']);
    expect(decide(hosts, true, [request])).not.toEqual(['open']);
  });

  it('refuses what no other host can change', () => {
    expect(decide([host('a')], false, [{}], { used: 3 })).toEqual(['!quota-exceeded']);
    // The default is what an unknown image falls back to, wherever it is.
    expect(decide([host('a')], false, [{ image: 'unknown@v1' }])).toEqual(['a']);
  });
});
