import { describe, expect, it } from '@jest/globals';
import { splitAtDashes } from './words.js';

describe('splitAtDashes', () => {
  it.each([
    [[], ['run'], [], []],
    [['img'], ['run', 'img'], ['img'], []],
    [['img', 'sh'], ['run', 'img', '--', 'sh'], ['img'], ['sh']],
    [['sh', '-c', 'x'], ['run', '--name', 'n', '--', 'sh', '-c', 'x'], [], ['sh', '-c', 'x']],
    [['img', 'sh', '--', 'x'], ['run', 'img', '--', 'sh', '--', 'x'], ['img'], ['sh', '--', 'x']],
    [['img'], ['run', 'img', '--'], ['img'], []],
  ])('%j of %j', (positional, raw, before, after) => expect(splitAtDashes(positional, raw)).toEqual({ before, after }));
});
