import { describe, expect, it } from '@jest/globals';
import { containerAt } from '../testing/statuses.js';
import { fitsFilter, parseFilter } from './container-filter.js';

const ROW = containerAt(7, {
  name: 'shop-7',
  tenant: 'acme',
  state: 'failed',
  host: 'h-1',
  image: 'debian-12@v2',
  message: 'unhealthy: connection refused',
});

describe('a filter', () => {
  it.each([
    ['', true],
    ['shop', true],
    ['SHOP-7', true],
    ['state:failed', true],
    ['state:fail', false],
    ['-state:running', true],
    ['-state:failed', false],
    ['tenant:acme host:h-1', true],
    ['tenant:acme host:h-2', false],
    ['host:h', false],
    ['image:debian-12', true],
    ['image:debian-12@v2', true],
    ['image:debian-12@v3', false],
    ['image:debian', false],
    ['health:-', true],
    ['message:"connection refused"', true],
    ['message:"refused connection"', false],
    ['"connection refused" -acme', false],
    ['id:0000', true],
    ['unhealthy:', true],
    ['role:admin', false],
    ['-"', true],
    [':', true],
  ])('%s fits: %s', (text, fits) => {
    expect(fitsFilter(parseFilter(text), ROW)).toBe(fits);
  });

  it('has a bound, however long the text is', () => {
    expect(parseFilter('a '.repeat(10_000))).toHaveLength(20);
  });
});
