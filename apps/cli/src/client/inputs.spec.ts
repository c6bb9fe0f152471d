import { describe, expect, it } from '@jest/globals';
import { parseDuration, parseEnv, parseRestart, parseSize } from './inputs.js';

describe('words on the command line', () => {
  it.each([
    ['256M', 256 * 1024 ** 2],
    ['1.5G', 1.5 * 1024 ** 3],
    ['64KiB', 65_536],
    ['1048576', 1_048_576],
  ])('size %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));
  it.each(['', 'lots', '-1M', '1X', '1 2M', '1e9'])('size %j is refused', (text) => expect(() => parseSize(text)).toThrow('256M'));
  it.each([
    ['always', { policy: 'always' }],
    ['on-failure:3', { policy: 'on-failure', maxRetries: 3 }],
  ])('restart %s', (text, policy) => expect(parseRestart(text)).toEqual(policy));
  it.each(['sometimes', 'always:3', 'on-failure:', 'on-failure:-1'])('restart %j is refused', (text) => expect(() => parseRestart(text)).toThrow('on-failure'));
  it('environment variables add up, and keep what stands after the first equals sign', () => expect(parseEnv('B=c=d', { A: '1' })).toEqual({ A: '1', B: 'c=d' }));
  it.each(['A', '=b'])('environment variable %j is refused', (text) => expect(() => parseEnv(text)).toThrow('NAME=VALUE'));
  it.each([
    ['90s', 90_000],
    ['2h', 7_200_000],
  ])('duration %s', (text, ms) => expect(parseDuration(text)).toBe(ms));
});
