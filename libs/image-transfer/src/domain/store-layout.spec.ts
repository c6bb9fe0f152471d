import { describe, expect, it } from '@jest/globals';
import { imageOfStaging, StoreLayout } from './store-layout.js';

describe('imageOfStaging', () => {
  it.each([
    ['debian-12-v3', { name: 'debian-12', version: 'v3' }],
    ['a-v1-v2', { name: 'a-v1', version: 'v2' }],
    ['debian', undefined],
    ['-v1', undefined],
    ['debian-12', undefined],
    ['..', undefined],
  ])('%s: %j', (directory, expected) => {
    expect(imageOfStaging(directory)).toEqual(expected);
  });

  it('reads what the layout writes', () => {
    const image = { name: 'a-v1', version: 'v20' };
    expect(imageOfStaging(new StoreLayout('/s').stagingOf(image).slice('/s/staging/'.length))).toEqual(image);
  });
});
