import { describe, expect, it } from '@jest/globals';
import type { ProductionImage } from '@plinth/contracts';
import {
  type FillSituation,
  type HeldImage,
  type ImageUses,
  type ImageWishes,
  isGivenUp,
  lackingBytes,
  nextFills,
  NO_WISHES,
  removable,
  startFailure,
  unneeded,
} from './image-supply.js';

const usesOf = (needed: readonly string[], inUse: readonly string[] = needed): ImageUses => ({
  needed: new Set(needed),
  inUse: new Set(inUse),
});
const wishesOf = (wishes: Partial<Record<keyof ImageWishes, readonly string[]>>): ImageWishes => ({
  pinned: new Set(wishes.pinned),
  awaited: new Set(wishes.awaited),
  ahead: new Set(wishes.ahead),
  evict: new Set(wishes.evict),
});
const heldOf = (...names: readonly string[]): HeldImage[] =>
  names.map((image, index) => ({ image, lastUsedMs: index, damaged: false }));

const UNREACHABLE = { reason: 'image-unavailable', message: 'no source answers' } as const;

describe('nextFills', () => {
  const fills = (changes: Partial<FillSituation>): ReturnType<typeof nextFills> =>
    nextFills({
      uses: usesOf([]),
      wishes: NO_WISHES,
      isHeld: () => false,
      inProgress: new Set(),
      most: 4,
      windowInMs: 0,
      dueInMs: () => 0,
      ...changes,
    });

  it.each<[string, Partial<FillSituation>, ReturnType<typeof nextFills>]>([
    ['nothing', {}, { now: [] }],
    ['what is there', { uses: usesOf(['a@v1']), isHeld: () => true }, { now: [] }],
    ['what a container waits for', { uses: usesOf(['a@v1', 'b@v1']) }, { now: ['a@v1', 'b@v1'] }],
    [
      'one ahead at a time, what is pinned first',
      { wishes: wishesOf({ ahead: ['a@v1'], pinned: ['b@v1'] }) },
      { now: ['b@v1'] },
    ],
    [
      'needed ones beside one ahead',
      { uses: usesOf(['a@v1']), wishes: wishesOf({ ahead: ['b@v1'] }), inProgress: new Set(['c@v1']) },
      { now: ['a@v1'] },
    ],
    [
      'no more than there are places',
      { uses: usesOf(['a@v1', 'b@v1', 'c@v1', 'd@v1', 'e@v1', 'f@v1']) },
      { now: ['a@v1', 'b@v1', 'c@v1', 'd@v1'] },
    ],
    [
      'what a rollout waits for before what is pinned, beside one ahead',
      { wishes: wishesOf({ pinned: ['a@v1'], ahead: ['b@v1', 'c@v1'], awaited: ['c@v1'] }) },
      { now: ['c@v1', 'a@v1'] },
    ],
    [
      'only what is waited for while no window is open',
      {
        uses: usesOf(['a@v1']),
        wishes: wishesOf({ pinned: ['b@v1'], ahead: ['c@v1', 'd@v1'], awaited: ['c@v1'] }),
        windowInMs: 900,
      },
      { now: ['a@v1', 'c@v1'], afterMs: 900 },
    ],
    [
      'one that is due later, and one for which there is nothing to try',
      { uses: usesOf(['a@v1', 'b@v1']), dueInMs: (image) => (image === 'a@v1' ? 700 : undefined) },
      { now: [], afterMs: 700 },
    ],
  ])('%s', (_, changes, expected) => expect(fills(changes)).toEqual(expected));
});

describe('removable', () => {
  const held = heldOf('a@v1', 'b@v1', 'c@v1', 'd@v1');

  it.each<[string, ImageUses, ImageWishes, boolean, readonly string[]]>([
    ['the least recently used first', usesOf([]), NO_WISHES, true, ['a@v1', 'b@v1', 'c@v1', 'd@v1']],
    ['never what is used or pinned', usesOf(['a@v1']), wishesOf({ pinned: ['b@v1'] }), true, ['c@v1', 'd@v1']],
    [
      'what is wished last, for a need',
      usesOf([]),
      wishesOf({ ahead: ['a@v1', 'b@v1'] }),
      true,
      ['c@v1', 'd@v1', 'a@v1', 'b@v1'],
    ],
    [
      'what is wished not at all, for a wish',
      usesOf([]),
      wishesOf({ ahead: ['a@v1'] }),
      false,
      ['b@v1', 'c@v1', 'd@v1'],
    ],
  ])('%s', (_, uses, wishes, isNeeded, expected) => expect(removable(held, uses, wishes, isNeeded)).toEqual(expected));
});

describe('unneeded', () => {
  it('names what is retired, revoked, damaged or to be evicted, unless it is used', () => {
    const states: Record<string, ProductionImage['state']> = {
      'a@v1': 'retired',
      'b@v1': 'revoked',
      'c@v1': 'retired',
    };
    const held = [...heldOf('a@v1', 'b@v1', 'c@v1', 'd@v1', 'e@v1'), { image: 'f@v1', lastUsedMs: 9, damaged: true }];
    const found = unneeded(held, usesOf([], ['c@v1']), wishesOf({ evict: ['c@v1', 'd@v1'] }), (image) => states[image]);
    expect(found.map(({ image }) => image)).toEqual(['a@v1', 'b@v1', 'd@v1', 'f@v1']);
  });
});

describe('lackingBytes', () => {
  const room = { used: 50, budget: 100, free: 1_000, kept: 100, reserved: 0 };
  it.each([
    ['there is room', room, { store: 50, disk: 60 }, 0],
    ['the store is too small', room, { store: 60, disk: 60 }, 10],
    ['another fill has reserved it', { ...room, reserved: 30 }, { store: 30, disk: 40 }, 10],
    ['the file system is too small', { ...room, budget: 10_000 }, { store: 910, disk: 910 }, 10],
  ])('%s', (_, given, need, expected) => expect(Math.max(0, lackingBytes(given, need))).toBe(expected));
});

it.each([
  ['no-space', 'no-space'],
  ['unknown-key', 'image-untrusted'],
  ['repository-unreachable', 'image-unavailable'],
] as const)('a start that waits for an image fails with %s: %s', (reason, expected) => {
  expect(startFailure('a@v1', { reason, message: 'why' })).toMatchObject({
    reason: expected,
    message: expect.stringMatching(/^a@v1 could not be fetched \(.*\): why; \w+/),
  });
});

it.each([
  ['no try has failed', {}, false],
  ['it is tried again', { retryInMs: 250, failure: UNREACHABLE }, false],
  ['it is not tried again', { failure: UNREACHABLE }, true],
])('an update waits for its image: %s', (_, missing, expected) => expect(isGivenUp(missing)).toBe(expected));
