import { describe, expect, it } from '@jest/globals';
import {
  describeLabels,
  parseAffinity,
  parseConstraint,
  parseLabelChange,
  parseSpread,
} from './placement-arguments.js';

describe('--on', () => {
  it.each([
    ['gpu=yes', { key: 'gpu', operator: 'in', values: ['yes'] }],
    ['rack=r1,r2,r1', { key: 'rack', operator: 'in', values: ['r1', 'r2'] }],
    ['rack!=r2', { key: 'rack', operator: 'not-in', values: ['r2'] }],
    ['ssd', { key: 'ssd', operator: 'exists' }],
    ['!ssd', { key: 'ssd', operator: 'absent' }],
  ])('%s', (text, expected) => expect(parseConstraint(text)).toEqual([expected]));

  it('is repeatable', () =>
    expect(parseConstraint('b', parseConstraint('a')).map(({ key }) => key)).toEqual(['a', 'b']));

  it.each(['', '=', '!', 'gpu=', 'GPU=yes', 'gpu=a b', 'gpu=a,,b', '!gpu=yes', '-x'])('refuses %j', (text) =>
    expect(() => parseConstraint(text)).toThrow(/label/),
  );
});

describe('rules of groups', () => {
  it.each([
    ['rack', { over: 'rack' }],
    ['host:required', { over: 'host', isRequired: true }],
  ])('--spread %s', (text, expected) => expect(parseSpread(text)).toEqual(expected));

  it.each([
    ['web', { group: 'web' }],
    ['web@rack', { group: 'web', over: 'rack' }],
    ['web:required', { group: 'web', isRequired: true }],
    ['web@rack:required', { group: 'web', over: 'rack', isRequired: true }],
  ])('--near %s', (text, expected) => expect(parseAffinity(text)).toEqual(expected));

  it.each(['', ':required', 'RACK', 'rack:always', 'a:b:required'])('--spread refuses %j', (text) =>
    expect(() => parseSpread(text)).toThrow(/label/),
  );
  it.each(['', '@rack', 'Web', 'web@', 'web:always', 'web@a@b'])('--apart refuses %j', (text) =>
    expect(() => parseAffinity(text)).toThrow(/group|label/),
  );
});

describe('labels of a host', () => {
  it('are set and removed', () =>
    expect(parseLabelChange(['gpu=yes', 'rack-'])).toEqual({ set: { gpu: 'yes' }, remove: ['rack'] }));

  it.each([
    [['gpu'], /write gpu=yes/],
    [['gpu=yes', 'gpu-'], /twice/],
    [['host=x'], /by itself/],
    [['gpu='], /no value/],
    [['constructor=x'], /no key/],
  ])('%j is refused', (words, message) => expect(parseLabelChange(words)).toMatch(message));

  it('are shown in one order', () => expect(describeLabels({ rack: 'r1', gpu: 'yes' })).toBe('gpu=yes,rack=r1'));
});
