import { describe, expect, it } from '@jest/globals';
import type { MountPlan, WritablePlace } from '@plinth/contracts';
import { requiredDirectories, validateMountPlan } from './mount-plan.js';
import { generateMountScript } from './mount-script.js';

const MiB = 1024 ** 2;
const place = (path: string, change: Partial<WritablePlace> = {}): WritablePlace => ({
  path,
  bytes: 5 * MiB,
  inodes: 1024,
  content: 'overlay',
  mode: 0o755,
  ...change,
});
const plan = (...places: WritablePlace[]): MountPlan => ({ schema: 1, places: [place('/etc'), ...places] });

describe('validateMountPlan', () => {
  it('accepts the usual places, parents first', () => {
    expect(
      validateMountPlan(plan(place('/var'), place('/var/tmp', { mode: 0o1777, content: 'empty' }), place('/run'))),
    ).toEqual([]);
  });

  it.each([
    ['a relative path', place('var'), 'bad-path'],
    ['a path with ..', place('/var/../usr'), 'bad-path'],
    ['a doubled slash', place('/var//log'), 'bad-path'],
    ['a trailing slash', place('/var/'), 'bad-path'],
    ['the root', place('/'), 'bad-path'],
    ['a comma, which separates mount options', place('/var,x'), 'bad-path'],
    ['a colon, which separates lower directories', place('/var:x'), 'bad-path'],
    ['a line break', place('/var\nx'), 'bad-path'],
    ['/dev', place('/dev'), 'reserved-path'],
    ['something below /proc', place('/proc/sys'), 'reserved-path'],
    ['something below /data', place('/data/service'), 'reserved-path'],
    ['/sw', place('/sw'), 'reserved-path'],
    ['/.plinth', place('/.plinth'), 'bad-path'],
    ['a place twice', place('/etc'), 'duplicate-path'],
    ['too little memory', place('/var', { bytes: 4095 }), 'bad-size'],
    ['too much memory', place('/var', { bytes: 2 * 1024 ** 3 + 1 }), 'bad-size'],
    ['a fraction of a byte', place('/var', { bytes: 5000.5 }), 'bad-size'],
    ['no inodes', place('/var', { inodes: 0 }), 'bad-inodes'],
    ['setuid', place('/var', { mode: 0o4755 }), 'bad-mode'],
    ['an unknown content', place('/var', { content: 'magic' as 'copy' }), 'bad-content'],
  ])('refuses %s', (_what, wrong, reason) => {
    expect(validateMountPlan(plan(wrong)).map((problem) => problem.reason)).toEqual([reason]);
  });

  it('refuses a child before its parent, a plan without /etc, and more than 64 places', () => {
    expect(validateMountPlan(plan(place('/var/log'), place('/var')))).toMatchObject([
      { reason: 'parent-after-child', path: '/var' },
    ]);
    expect(validateMountPlan({ schema: 1, places: [place('/var')] })).toMatchObject([{ reason: 'etc-missing' }]);
    const many = Array.from({ length: 64 }, (_, index) => place(`/srv/p${index}`));
    expect(validateMountPlan(plan(...many))).toMatchObject([{ reason: 'too-many-places' }]);
  });
});

describe('requiredDirectories', () => {
  it('gives each overlay its own upper and work directory, for any two paths', () => {
    const paths = requiredDirectories(
      plan(place('/var/a-b'), place('/var/a/b'), place('/tmp', { content: 'empty' })),
    ).map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    expect(paths).toContain('.plinth/var+a+b/upper');
    expect(paths).not.toContain('.plinth/tmp');
  });
});

describe('generateMountScript', () => {
  it('does the seven steps in order', () => {
    const script = generateMountScript(plan(place('/tmp', { content: 'empty' })));
    const steps = [...script.matchAll(/^# ([1-7])\./gm)].map(([, number]) => number);
    expect(steps).toEqual(['1', '2', '4', '5', '6', '7']);
    expect(script).toContain('# 2. and 3.');
  });

  it('refuses a plan that was not checked', () => {
    expect(() => generateMountScript(plan(place('/a$(reboot)')))).toThrow(RangeError);
  });
});
