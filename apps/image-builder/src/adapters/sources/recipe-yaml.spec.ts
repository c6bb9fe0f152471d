import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { MAX_RECIPE_BYTES, readRecipe, readYaml } from './recipe-yaml.js';

const SHIPPED = join(import.meta.dirname, '../../../../../recipes');
const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefghi'
    .split('')
    .map(
      (name, index) =>
        `${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdefgh'[index] ?? ''}`).join(', ')}]`,
    ),
].join('\n');

describe('readYaml', () => {
  it.each<[string, string, RegExp]>([
    ['an alias bomb', bomb, /aliases/],
    ['one alias', 'a: &x 1\nb: *x', /aliases/],
    ['a merge key', 'a: &x {b: 1}\nc:\n  <<: *x', /aliases/],
    ['a key twice', 'name: a\nname: b', /unique/i],
    ['an unknown tag', 'a: !!js/function "x"', /tag/i],
    ['two documents', 'a: 1\n---\nb: 2', /document/i],
    ['broken syntax', 'a: [', /line 1|line 2/],
    ['a megabyte', `a: ${'x'.repeat(1024 ** 2)}`, /at most/],
    ['deep nesting', `a: ${'['.repeat(100_000)}`, /nested|line/],
    ['a key that is a mapping', '{a: 1}: 2', /string/i],
  ])('refuses %s', (_, text, expected) => {
    const read = readYaml(text);
    expect(read.ok).toBe(false);
    if (!read.ok) expect(read.problems.map(({ message }) => message).join('\n')).toMatch(expected);
  });

  it('gives __proto__ as an ordinary key', () => {
    expect(readRecipe('__proto__: {a: 1}\nname: a\nfrom: b')).toMatchObject({
      ok: false,
      problems: [{ path: '__proto__' }],
    });
  });

  it('counts bytes, not characters', () => {
    expect(readYaml(`a: "${'ä'.repeat(MAX_RECIPE_BYTES / 2)}"`).ok).toBe(false);
  });
});

describe('the shipped recipes', () => {
  it.each(readdirSync(SHIPPED).filter((name) => name.endsWith('.yaml')))('%s has no mistake', (name) => {
    expect(readRecipe(readFileSync(join(SHIPPED, name), 'utf8'))).toMatchObject({
      ok: true,
      recipe: { name: name.replace('.yaml', '') },
    });
  });
});
