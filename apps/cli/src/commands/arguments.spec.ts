import { describe, expect, it } from '@jest/globals';
import {
  parseCount,
  parseDuration,
  parseEnv,
  parseList,
  parseName,
  parsePositive,
  parseRestart,
  parseSize,
} from './arguments.js';

describe('parseName', () => {
  it.each(['a', 'shop-1', '0', 'a'.repeat(63)])('takes %s', (text) => expect(parseName(text)).toBe(text));
  it.each(['', 'Bad!', 'Shop', '-a', 'a-', 'a.b', 'a'.repeat(64)])('refuses %j', (text) =>
    expect(() => parseName(text)).toThrow(/lower-case letters, digits and inner hyphens/),
  );
});

describe('parseSize', () => {
  it.each([
    ['1048576', 1_048_576],
    ['256M', 256 * 1024 ** 2],
    ['256m', 256 * 1024 ** 2],
    ['64KiB', 65_536],
    ['64KB', 65_536],
    ['1.5G', 1.5 * 1024 ** 3],
    ['2T', 2 * 1024 ** 4],
    ['0', 0],
  ])('reads %s as %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));
  it.each(['', 'M', '-1M', '1e6', '1X', '1 2M', '0x10', '1.M', 'NaN'])('refuses %j', (text) =>
    expect(() => parseSize(text)).toThrow(/such as 256M/),
  );
});

describe('parsePositive', () => {
  it.each([
    ['0.5', 0.5],
    ['2', 2],
  ])('reads %s', (text, value) => expect(parsePositive(text)).toBe(value));
  it.each(['0', '-1', 'x', '', 'Infinity'])('refuses %j', (text) =>
    expect(() => parsePositive(text)).toThrow(/above 0/),
  );
});

describe('parseCount', () => {
  it.each([
    ['0', 0],
    ['42', 42],
  ])('reads %s', (text, value) => expect(parseCount(text)).toBe(value));
  it.each(['-1', '1.5', '', 'x', '1234567890'])('refuses %j', (text) =>
    expect(() => parseCount(text)).toThrow(/whole number/),
  );
});

describe('parseEnv', () => {
  it.each([
    ['A=b', { A: 'b' }],
    ['A=', { A: '' }],
    ['A=b=c', { A: 'b=c' }],
    ['_X1= spaced ', { _X1: ' spaced ' }],
  ])('reads %j', (text, found) => expect(parseEnv(text)).toEqual(found));
  it('collects, the last one wins', () => expect(parseEnv('A=2', { A: '1', B: 'x' })).toEqual({ A: '2', B: 'x' }));
  it('keeps a name that objects have by themselves', () =>
    expect(Object.keys(parseEnv('__proto__=x'))).toEqual(['__proto__']));
  it.each(['A', '=b', '', '1A=x', 'A B=x', 'A-B=x'])('refuses %j', (text) =>
    expect(() => parseEnv(text)).toThrow(/NAME=VALUE/),
  );
  it.each(['A=x\ny', 'A=x\0y'])('refuses the value in %j', (text) =>
    expect(() => parseEnv(text)).toThrow(/line break/),
  );
});

describe('parseRestart', () => {
  it.each([
    ['always', { policy: 'always' }],
    ['never', { policy: 'never' }],
    ['on-failure', { policy: 'on-failure' }],
    ['on-failure:3', { policy: 'on-failure', maxRetries: 3 }],
    ['on-failure:0', { policy: 'on-failure', maxRetries: 0 }],
    ['on-failure:1000', { policy: 'on-failure', maxRetries: 1000 }],
  ])('reads %s', (text, policy) => expect(parseRestart(text)).toEqual(policy));
  it.each(['', 'sometimes', 'always:3', 'never:1', 'on-failure:', 'on-failure:-1', 'on-failure:1001', 'Always'])(
    'refuses %j',
    (text) => expect(() => parseRestart(text)).toThrow(/restart policy/),
  );
});

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1.5h', 5_400_000],
    ['90', 90_000],
    ['0', 0],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));
  it.each(['', 'm', '-1s', '1w', '10 m', '10M', '1e3s', '400d', '9999999999999s'])('refuses %j', (text) =>
    expect(() => parseDuration(text)).toThrow(/such as 10m/),
  );
});

describe('parseList', () => {
  it.each([
    ['sn-1', ['sn-1']],
    ['sn-1, sn-2', ['sn-1', 'sn-2']],
    ['a,,b,', ['a', 'b']],
  ])('reads %j', (text, items) => expect(parseList(text)).toEqual(items));
  it.each(['', ',', ' , '])('refuses %j, which could otherwise mean everything or nothing', (text) =>
    expect(() => parseList(text)).toThrow(/at least one/),
  );
});
