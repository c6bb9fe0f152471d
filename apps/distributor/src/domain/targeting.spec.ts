import { describe, expect, it } from '@jest/globals';
import { concerns, describeNode, LABELS_PATTERN } from './targeting.js';

const node = describeNode('sn-1', 'west', 'tier=ssd,rack=r-7.2');

describe('concerns', () => {
  it.each<[string[] | undefined, boolean]>([
    [undefined, true],
    [['sn-1'], true],
    [['sn-2'], false],
    [['sn-2', 'sn-1'], true],
    [['datacenter=west'], true],
    [['datacenter=east'], false],
    [['tier=ssd'], true],
    [['tier=hdd', 'rack=r-7.2'], true],
    [['tier'], false],
    [['west'], false],
    [['constructor=west'], false],
    [['sn-1=west'], false],
    [[], false],
  ])('%j: %s', (to, expected) => {
    expect(concerns(node, to)).toBe(expected);
  });
});

describe('describeNode', () => {
  it('takes the data centre as a label that no other text can replace', () => {
    expect(describeNode('sn-1', 'west', 'datacenter=east').labels).toEqual({ datacenter: 'west' });
    expect(describeNode('sn-1', 'west', '').labels).toEqual({ datacenter: 'west' });
  });
});

describe('LABELS_PATTERN', () => {
  it.each([
    ['', true],
    ['a=b', true],
    ['a=b,c=d.e', true],
    ['a', false],
    ['a=', false],
    ['a=b,', false],
    ['A=b', false],
    ['a=b c=d', false],
    [`${'a=b,'.repeat(5_000)}!`, false],
  ])('%#', (text, expected) => {
    expect(LABELS_PATTERN.test(text)).toBe(expected);
  });
});
