import { describe, expect, it } from '@jest/globals';
import { type ImageUses, stateRefusal, useRefusal } from './image-retirement.js';

const UNUSED: ImageUses = { isDefault: false, running: 0, returning: 0, knownGood: 0, examples: [], rollouts: [] };

describe('the state of a version', () => {
  it.each([
    ['promoted', undefined],
    ['revoked', undefined],
    ['retired', 'retired'],
    ['tested', 'not-promoted'],
    ['building', 'not-promoted'],
    ['rejected', 'not-promoted'],
    [undefined, 'image-not-found'],
  ])('%s: %s', (state, reason) => expect(stateRefusal('debian-12@v1', state)?.reason).toBe(reason));
});

describe('what needs a version', () => {
  const cases: readonly [string, Partial<ImageUses>, string | undefined, RegExp][] = [
    ['nothing', {}, undefined, /^$/],
    ['the default', { isDefault: true, running: 3, examples: ['a'] }, 'default-image', /activate another/],
    ['a container on it', { running: 1, examples: ['shop-1'] }, 'in-use', /needed by 1 container on it \(shop-1\)/],
    ['one that goes back to it', { returning: 1, examples: ['a'] }, 'in-use', /1 container going back to it/],
    [
      'many',
      { running: 3, returning: 2, knownGood: 4, examples: ['a', 'b'] },
      'in-use',
      /3 containers on it, 2 containers going back .*, 4 containers that have it as known good \(a, b, …\)/,
    ],
    ['a rollout', { rollouts: ['r1'] }, 'in-rollout', /rollout r1, which/],
    ['rollouts', { rollouts: ['r1', 'r2', 'r3'] }, 'in-rollout', /rollout r1 and 2 more/],
  ];
  it.each(cases)('%s', (_what, uses, reason, message) => {
    const refusal = useRefusal('debian-12@v1', { ...UNUSED, ...uses });
    expect(refusal?.reason).toBe(reason);
    expect(refusal?.message ?? '').toMatch(message);
  });
});
