import { describe, expect, it } from '@jest/globals';
import type { PlacementPreview } from '@plinth/contracts';
import { describePreview, placementRows } from './placement-view.js';

const RECORD = {
  at: '2026-06-01T00:00:00.000Z',
  host: 'h-1',
  policy: 'least-loaded',
  hosts: 1_000,
  lookedAt: 4,
  scores: [
    { host: 'h-1', score: 1.3 },
    { host: 'h-2', score: 1.2 },
  ],
  excluded: [{ filter: 'room', count: 2 }],
};
const PREVIEW: PlacementPreview = {
  host: 'h-1',
  reason: null,
  message: null,
  image: 'os@v1',
  policy: 'least-loaded',
  hosts: 6,
  fitting: 1,
  ranked: [{ host: 'h-1', score: 1.3, parts: [{ name: 'load', weight: 0.4, value: 1 }] }],
  excluded: [{ filter: 'labels', count: 5, hosts: ['h-2', 'h-3', 'h-4'], why: 'it has no label gpu' }],
  explained: { host: 'h-2', fits: false, filter: 'labels', why: 'it has no label gpu' },
};

describe('why a container is where it is', () => {
  it('is given with what was drawn', () =>
    expect(placementRows(RECORD)).toEqual([
      ['placed', 'on h-1 at 2026-06-01T00:00:00.000Z: least-loaded among 4 drawn of 1000 hosts'],
      ['scores', 'h-1 1.3, h-2 1.2'],
      ['left out', '2 without room'],
    ]));

  it('is unknown of older ones', () => expect(placementRows(null)).toEqual([]));
});

describe('where one would be placed', () => {
  it('has the best hosts, and the others with a reason', () => {
    const text = describePreview(PREVIEW);
    expect(text).toMatch(/^it would be placed on h-1, with os@v1: least-loaded among 1 of 6 hosts that fit\n/);
    expect(text).toMatch(/h-1 +1\.3 +load 0\.4 × 1/);
    expect(text).toMatch(/5 without the labels +h-2, h-3, h-4, … +it has no label gpu/);
    expect(text).toMatch(/\nh-2 does not get it: it has no label gpu$/);
  });

  it('is a refusal', () =>
    expect(
      describePreview({ ...PREVIEW, host: null, reason: 'no-capacity', message: 'full', ranked: [], explained: null }),
    ).toMatch(/^it would be refused \(no-capacity\): full\n/));
});
