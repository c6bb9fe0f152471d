import { describe, expect, it } from '@jest/globals';
import { objectName, type ObjectIdentity } from './object-name.js';

const file: ObjectIdentity = {
  digest: `sha256:${'a'.repeat(64)}`,
  size: 3,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 1_700_000_000,
};

describe('objectName', () => {
  it('is one hash, the same in every store and version of this software', () => {
    expect(objectName(file)).toMatch(/^[0-9a-f]{64}$/);
    expect(objectName(file)).toBe('4ad62ca6dcb9569f35cdee863d92f3d625d6a6f115198282cdbcb9625a169c58');
  });

  it.each<[string, Partial<ObjectIdentity>]>([
    ['content', { digest: `sha256:${'b'.repeat(64)}` }],
    ['size', { size: 4 }],
    ['mode', { mode: 0o4644 }],
    ['owner', { uid: 1 }],
    ['group', { gid: 1 }],
    ['time', { mtime: 1_700_000_001 }],
    ['capability', { capability: '0100000200200000000000000000000000000000' }],
    // Fields that run into each other would be equal.
    ['owner and group together', { uid: 1, gid: 0, mtime: 1_700_000_000 }],
    ['group and owner together', { uid: 10, gid: 0 }],
  ])('differs with the %s', (_, change) => {
    expect(objectName({ ...file, ...change })).not.toBe(objectName(file));
  });

  it('depends on nothing else that an entry has', () => {
    const entry = { ...file, type: 'file' as const, path: 'usr/bin/tool' };
    expect(objectName(entry)).toBe(objectName(file));
  });
});
