import { describe, expect, it } from '@jest/globals';
import { type BuildState, decideParent, decidePromotion, decideRevocation, type Promotable } from './version-states.js';

const image = (state: BuildState, promotedTo?: string[]): Promotable => ({ ref: 'a@v1', state, promotedTo });
const refused = (reason: string): object => ({
  ok: false,
  refusal: { reason, message: expect.stringContaining('a@v1') },
});

describe('decidePromotion', () => {
  it.each<[string, Promotable | undefined, string[] | undefined, object]>([
    ['nothing', undefined, undefined, refused('image-not-found')],
    ['a queued image', image('queued'), undefined, refused('not-tested')],
    ['an image being built', image('building'), undefined, refused('not-tested')],
    ['an untested image', image('built'), undefined, refused('not-tested')],
    ['a rejected image', image('rejected'), undefined, refused('not-tested')],
    ['a tested image', image('tested'), ['sn-1'], { ok: true, value: 'move' }],
    ['an image that is moving', image('promoting'), undefined, refused('already-promoted')],
    ['a promoted image', image('promoted'), undefined, refused('already-promoted')],
    [
      'a promoted image, to the same nodes',
      image('promoted', ['sn-1', 'sn-2']),
      ['sn-2', 'sn-1'],
      refused('already-promoted'),
    ],
    ['a promoted image, to more nodes', image('promoted', ['sn-1']), ['sn-1', 'sn-2'], { ok: true, value: 'announce' }],
    ['a promoted image, to all nodes', image('promoted', ['sn-1']), undefined, { ok: true, value: 'announce' }],
    ['a revoked image', image('revoked'), undefined, refused('revoked')],
    ['a retired image', image('retired'), undefined, refused('retired')],
  ])('of %s', (_, found, to, expected) => {
    expect(decidePromotion(found, 'a@v1', to)).toEqual(expected);
  });
});

describe('decideRevocation', () => {
  it.each<[BuildState, object]>([
    ['queued', refused('not-tested')],
    ['building', refused('not-tested')],
    ['built', refused('not-tested')],
    ['tested', { ok: true, value: null }],
    ['promoting', { ok: true, value: null }],
    ['promoted', { ok: true, value: null }],
    ['revoked', refused('revoked')],
    ['rejected', refused('image-not-found')],
  ])('of an image that is %s', (state, expected) => {
    expect(decideRevocation(image(state), 'a@v1')).toEqual(expected);
  });
});

describe('decideParent', () => {
  it.each<[Promotable | undefined, object]>([
    [undefined, refused('parent-not-found')],
    [image('building'), refused('parent-not-found')],
    [image('rejected'), refused('parent-not-found')],
    [image('revoked'), refused('revoked')],
    [image('tested'), { ok: true, value: null }],
    [image('promoted'), { ok: true, value: null }],
  ])('%p', (found, expected) => {
    expect(decideParent(found, 'a@v1')).toEqual(expected);
  });
});
