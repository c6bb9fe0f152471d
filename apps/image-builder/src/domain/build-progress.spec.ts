import { describe, expect, it } from '@jest/globals';
import { fractionOf, PackageProgress } from './build-progress.js';

describe('fractionOf', () => {
  it('goes from nothing to everything', () => {
    expect(fractionOf('queued', 0)).toBe(0);
    expect(fractionOf('bootstrap', 0.5)).toBe(0.25);
    expect(fractionOf('test', 1)).toBe(1);
    expect(fractionOf('test', 7)).toBe(1);
  });
});

describe('PackageProgress', () => {
  it('moves with every package and never back, also when more are found', () => {
    const progress = new PackageProgress();
    const seen = [
      'Get:1 http://x bookworm InRelease',
      '0 upgraded, 2 newly installed, 0 to remove',
      'Get:2 http://x a',
      'Unpacking a (1) ...',
      'Setting up a (1) ...',
      'noise',
      '0 upgraded, 20 newly installed, 0 to remove',
      'Setting up b (1) ...',
    ].map((line) => progress.line(line));
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(0)).toBeGreaterThan(0);
    expect(seen.at(-1)).toBeLessThan(1);
  });
});
