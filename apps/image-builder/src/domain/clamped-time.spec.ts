import { describe, expect, it } from '@jest/globals';
import { clampedTime, timeRuleOf } from './clamped-time.js';
import { parseRecipe } from './parse-recipe.js';
import type { Recipe } from './recipe.js';

function recipeOf(from: Map<string, unknown>, sourceDateEpoch?: number): Recipe {
  const parsed = parseRecipe(
    new Map<string, unknown>([
      ['name', 'a'],
      ['from', from],
      ...(sourceDateEpoch === undefined ? [] : [['sourceDateEpoch', sourceDateEpoch] as const]),
    ]),
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.recipe;
}
const debian = (fields: object): Map<string, unknown> => new Map([['mmdebstrap', new Map(Object.entries(fields))]]);
const STARTED = 1_800_000_000;

describe('timeRuleOf', () => {
  it.each<[string, Recipe, number, boolean]>([
    ['the day of the release', recipeOf(debian({ suite: 'bookworm' })), Date.UTC(2023, 5, 10) / 1000, false],
    [
      'the snapshot',
      recipeOf(debian({ suite: 'bookworm', snapshot: '20250901T120000Z' })),
      Date.UTC(2025, 8, 1, 12) / 1000,
      true,
    ],
    ['the recipe', recipeOf(debian({ suite: 'bookworm' }), 1_700_000_000), 1_700_000_000, true],
  ])('takes %s', (_, recipe, sourceDateEpoch, strict) => {
    expect(timeRuleOf(recipe, STARTED)).toEqual({ sourceDateEpoch, strict, buildStarted: STARTED });
  });
});

describe('clampedTime', () => {
  const loose = { sourceDateEpoch: 1_000, buildStarted: STARTED, strict: false };
  it.each([
    ['what the build made', STARTED + 5, loose, 1_000],
    ['what a package brought', 1_750_000_000, loose, 1_750_000_000],
    ['what a package brought, strictly', 1_750_000_000, { ...loose, strict: true }, 1_000],
    ['what is older', 500, { ...loose, strict: true }, 500],
    ['a time before the epoch', -5, loose, 0],
  ])('%s', (_, mtime, rule, expected) => {
    expect(clampedTime(mtime, rule)).toBe(expected);
  });
});
