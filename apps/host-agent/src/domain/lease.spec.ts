import { type ClaimDecision, decideClaim, holdsLease, type VolumeClaim, type VolumeHolder } from './lease.js';

describe('a lease', () => {
  const leases = { bootId: 'b', deadlines: { 'sn-1': 1000 }, terms: { 'sn-1': 't' } };
  it.each([
    ['before its deadline', leases, 'b', 'sn-1', 999, true],
    ['at its deadline', leases, 'b', 'sn-1', 1000, false],
    ['of another boot', leases, 'c', 'sn-1', 0, false],
    ['on another storage node', leases, 'b', 'sn-2', 0, false],
    ['that was never renewed', undefined, 'b', 'sn-1', 0, false],
  ] as const)('%s', (_, held, boot, node, now, holds) => {
    expect(holdsLease(held, boot, node, now)).toBe(holds);
  });
});

describe('a claim on a volume', () => {
  const mine: VolumeClaim = {
    host: 'new',
    generation: 5,
    takeovers: [
      { from: 'older', renewal: 'r0' },
      { from: 'old', renewal: 'r1' },
    ],
  };
  const cases: [string, VolumeHolder | undefined, VolumeHolder | undefined, VolumeClaim, ClaimDecision['kind']][] = [
    ['that no host ever held', undefined, undefined, mine, 'take'],
    ['that is held already', { host: 'new', generation: 2 }, undefined, mine, 'hold'],
    ['that was released', { host: null, generation: 4 }, undefined, mine, 'take'],
    ['that was released by a later config', { host: null, generation: 6 }, undefined, mine, 'refuse'],
    ['of a lost host', { host: 'old', generation: 4 }, undefined, mine, 'take-over'],
    ['of a host that is not known to be lost', { host: 'third', generation: 4 }, undefined, mine, 'refuse'],
    ['of a host that came later', { host: 'old', generation: 6 }, undefined, mine, 'refuse'],
    [
      'that another host is taking over',
      { host: 'new', generation: 5 },
      { host: 'next', generation: 6 },
      mine,
      'refuse',
    ],
    [
      'whose takeover by an earlier config was left behind',
      { host: null, generation: 4 },
      { host: 'old', generation: 3 },
      mine,
      'take',
    ],
    [
      'whose takeover was begun by this host',
      { host: 'old', generation: 4 },
      { host: 'new', generation: 5 },
      mine,
      'take-over',
    ],
  ];
  it.each(cases)('%s', (_, holder, pending, claim, kind) => {
    expect(decideClaim(holder, pending, claim).kind).toBe(kind);
  });

  it('names the renewal that must not have changed', () => {
    expect(decideClaim({ host: 'old', generation: 4 }, undefined, mine)).toEqual({
      kind: 'take-over',
      from: 'old',
      renewal: 'r1',
    });
  });
});
