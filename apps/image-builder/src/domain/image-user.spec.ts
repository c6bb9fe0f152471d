import { describe, expect, it } from '@jest/globals';
import { findUser } from './image-user.js';

const PASSWD = 'root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:\n1000:x:7:8::/:\nbroken:x:abc:1::/:\nbig:x:70000:1::/:\n';
const GROUP = 'root:x:0:\nwww:x:34:\nlog:x:4:syslog,web\nadm:x:3:web\nbig:x:4294967295:\n';

describe('findUser', () => {
  it.each<[string, number, number, number[]]>([
    ['root', 0, 0, []],
    ['web', 33, 34, [3, 4]],
    ['33', 33, 34, [3, 4]],
    ['web:log', 33, 4, []],
    ['web:0', 33, 0, []],
    ['12345', 12345, 0, []],
    ['12345:log', 12345, 4, []],
    ['12345:6', 12345, 6, []],
    ['1000', 7, 8, []],
  ])('%s is %d:%d', (name, uid, gid, additionalGids) => {
    expect(findUser(name, PASSWD, GROUP)).toEqual({ ok: true, user: { name, uid, gid, additionalGids } });
  });

  it.each([
    ['nobody', /passwd has no user nobody/],
    ['web:none', /group has no group none/],
    ['broken', /has no user broken/],
    ['big', /has no user big/],
    ['70000', /has no user 70000/],
    ['web:big', /has no group big/],
  ])('%s is refused', (name, problem) => {
    expect(findUser(name, PASSWD, GROUP)).toEqual({ ok: false, problem: expect.stringMatching(problem) });
  });

  it('needs no databases for numbers', () => {
    expect(findUser('5:6', '', '')).toMatchObject({ ok: true, user: { uid: 5, gid: 6 } });
    expect(findUser('root', '', '')).toMatchObject({ ok: false });
  });
});
