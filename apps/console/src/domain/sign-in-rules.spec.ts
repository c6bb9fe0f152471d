import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { backOffSeconds } from './back-off.js';
import { formatPassword, memoryOf, parsePassword, PRESENT_COST } from './password.js';

describe('waiting after wrong sign-ins', () => {
  it.each([
    ['account', 1, 0],
    ['account', 4, 0],
    ['account', 5, 1],
    ['account', 9, 16],
    ['account', 1_000_000, 900],
    ['address', 19, 0],
    ['address', 20, 1],
    ['address', 40, 900],
  ] as const)('by %s, after %d failures: %d s', (kind, failures, seconds) => {
    expect(backOffSeconds(kind, failures)).toBe(seconds);
  });
});

describe('a stored password', () => {
  const stored = { cost: PRESENT_COST, salt: randomBytes(16), hash: randomBytes(32) };

  it('is a PHC string', () => {
    const text = formatPassword(stored);
    expect(text).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(parsePassword(text)).toEqual(stored);
    expect(memoryOf(PRESENT_COST)).toBe(64 * 1024 ** 2);
  });

  it.each([
    ['', undefined],
    ['plain', undefined],
    [formatPassword({ ...stored, cost: { ln: 30, r: 8, p: 3 } }), undefined],
    [formatPassword({ ...stored, cost: { ln: 15, r: 99, p: 3 } }), undefined],
    [formatPassword({ ...stored, cost: { ln: 0, r: 8, p: 3 } }), undefined],
  ])('that is none or costs too much is refused: %s', (text, expected) => {
    expect(parsePassword(text)).toBe(expected);
  });
});
