import { constants } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { errnoName, SystemCallError } from './libc.js';
import { codeOf, hasCode, isMissing, unlessMissing } from './system-error.js';

const withCode = (code: string): Error => Object.assign(new Error(code), { code });

describe('errors of the system', () => {
  it.each([
    [withCode('ENOENT'), 'ENOENT'],
    [new SystemCallError('flock', constants.errno.ENOLCK), 'ENOLCK'],
    [new Error('plain'), undefined],
    [{ code: 'ENOENT' }, undefined],
    [undefined, undefined],
  ])('%p has the code %p', (error, code) => {
    expect(codeOf(error)).toBe(code);
  });

  it('are distinguished by any of several codes', () => {
    expect(hasCode(withCode('EDQUOT'), 'ENOSPC', 'EDQUOT')).toBe(true);
    expect(hasCode(withCode('EIO'), 'ENOSPC', 'EDQUOT')).toBe(false);
    expect(isMissing(withCode('ENOTDIR'))).toBe(false);
  });

  it('of a missing file become a value, and others are thrown again', () => {
    expect(unlessMissing('none')(withCode('ENOENT'))).toBe('none');
    expect(() => unlessMissing('none')(withCode('EACCES'))).toThrow('EACCES');
  });

  it('of a call name the call, what it was about and the error', () => {
    expect(new SystemCallError('flock', constants.errno.ENOLCK, '/a').message).toBe('ENOLCK: flock /a failed');
    expect(errnoName(constants.errno.EAGAIN)).toBe('EAGAIN');
    expect(errnoName(9_999)).toBe('errno 9999');
  });
});
