import { describe, expect, it } from '@jest/globals';
import type { FileCapability } from '@plinth/contracts';
import { canRunWith, LeftOut } from './kept-attributes.js';

const capability = (permitted: string[], effective = true): FileCapability => ({
  effective,
  permitted,
  inheritable: [],
});

describe('canRunWith', () => {
  const bounding = new Set(['net_raw', 'setuid']);
  it.each<[string, FileCapability, boolean]>([
    ['one that containers may have', capability(['net_raw']), true],
    ['all of several', capability(['net_raw', 'setuid']), true],
    ['none', capability([]), true],
    ['one of two that they may not have', capability(['net_raw', 'net_admin']), false],
    ['one that the program asks for by itself', capability(['net_admin'], false), true],
  ])('%s', (_, wanted, can) => {
    expect(canRunWith(wanted, bounding)).toBe(can);
  });
});

describe('LeftOut', () => {
  it('logs no line when nothing was left out', () => {
    expect(new LeftOut().lines()).toEqual([]);
  });

  it('counts by name, and names programs', () => {
    const left = new LeftOut();
    for (const name of ['user.b', 'user.a', 'user.b']) left.attribute(name);
    left.capability('usr/bin/dumpcap', capability(['net_admin']));
    expect(left.lines()).toEqual([
      'extended attributes that images do not keep: 4 ("security.capability" 1, "user.a" 1, "user.b" 2)',
      'file capabilities that containers do not have, left out so that the programs can be run at all: /usr/bin/dumpcap (cap_net_admin=ep)',
    ]);
  });

  it('stays short with names of any length', () => {
    const left = new LeftOut();
    for (let index = 0; index < 10_000; index++) left.attribute(`user.${index}\n${'x'.repeat(200)}`);
    expect(left.lines().join('').length).toBeLessThan(3_000);
    expect(left.lines().join('')).not.toContain('\n');
  });
});
