import { describe, expect, it } from '@jest/globals';
import { splitOperands } from './request-options.js';

describe('operands of run', () => {
  it.each([
    [[], ['run'], undefined, []],
    [['debian-12'], ['run', 'debian-12'], 'debian-12', []],
    [['/bin/sleep', '1'], ['run', '--', '/bin/sleep', '1'], undefined, ['/bin/sleep', '1']],
    [['debian-12', '/bin/sleep', '1'], ['run', 'debian-12', '--', '/bin/sleep', '1'], 'debian-12', ['/bin/sleep', '1']],
    [['debian-12', '/bin/true'], ['run', 'debian-12', '/bin/true'], 'debian-12', ['/bin/true']],
  ])('%j of %j', (operands, argv, image, words) => {
    expect(splitOperands(operands, argv)).toEqual({ image, words });
  });
});
