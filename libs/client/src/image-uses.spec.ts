import { describe, expect, it } from '@jest/globals';
import type { ImageState, ImageSummary, RolloutDetails } from '@plinth/contracts';
import { collectable, rolloutsOf } from './image-uses.js';

const image = (name: string, version: string, state: ImageState = 'promoted', defaultVersion = false) =>
  ({ name, version, state, defaultVersion }) as ImageSummary;

describe('collectable', () => {
  const versions = [
    image('a', 'v1', 'promoted', true),
    image('a', 'v2'),
    image('a', 'v10'),
    image('a', 'v9', 'revoked'),
    image('a', 'v11', 'tested'),
    image('a', 'v3', 'retired'),
    image('b', 'v1'),
  ];
  it.each<[number, readonly string[]]>([
    [
      3,
      [
        'a@v10 one of the newest 3',
        'a@v9 one of the newest 3',
        'a@v2 one of the newest 3',
        'a@v1 the default of its name',
        'b@v1 one of the newest 3',
      ],
    ],
    [1, ['a@v10 the newest', 'a@v9 -', 'a@v2 -', 'a@v1 the default of its name', 'b@v1 the newest']],
    [0, ['a@v10 -', 'a@v9 -', 'a@v2 -', 'a@v1 the default of its name', 'b@v1 -']],
  ])('with %d kept, by number and not by text', (keep, lines) =>
    expect(collectable(versions, keep).map((one) => `${one.image} ${one.keep ?? '-'}`)).toEqual(lines),
  );
  it('of nothing is nothing', () => expect(collectable([], 3)).toEqual([]));
});

describe('rolloutsOf', () => {
  const rollout = (id: string, to: string, from: string) =>
    ({ id, to, members: [{ from, to }] }) as unknown as RolloutDetails;
  it('finds those that go to it and those that come from it', () =>
    expect(
      rolloutsOf(
        [rollout('1', 'a@v2', 'a@v1'), rollout('2', 'a@v3', 'a@v2'), rollout('3', 'known-good', 'a@v9')],
        'a@v2',
      ),
    ).toEqual(['1', '2']));
});
