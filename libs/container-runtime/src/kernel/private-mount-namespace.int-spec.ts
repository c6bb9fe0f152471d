import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { cgroupLayout } from './cgroup-tree.js';
import { enterPrivateMountNamespace } from './private-mount-namespace.js';

const HIDDEN = '/sys/fs/cgroup/unified';
const CONTAINERS = 10_000;
const layout = cgroupLayout();

beforeAll(async () => {
  await enterPrivateMountNamespace({ reexecute: false });
});

describe('the memory file system over the second hierarchy', () => {
  it('is there on hybrid cgroups only', () => {
    expect(cgroupLayout()).toBe(layout === 'hybrid' ? 'legacy' : layout);
  });

  it(`takes what ${CONTAINERS} containers leave there, and has an end`, () => {
    // Without hybrid cgroups there is no such file system.
    if (layout !== 'hybrid') return;
    // crun leaves for each a directory, and in it the list of processes, which is a plain file here.
    const group = (index: number): string => `${HIDDEN}/plinth-${index.toString(16).padStart(32, '0')}.aaaaaaaaaaaa`;
    for (let index = 0; index < CONTAINERS; index += 1) {
      mkdirSync(group(index), { recursive: true });
      writeFileSync(`${group(index)}/cgroup.procs`, '12345');
    }
    const { bfree, blocks, ffree, files } = statfsSync(HIDDEN);
    // Room for three times as many, in case another runtime leaves more; yet a runaway writer stops long before the
    // machine's memory.
    expect(bfree / blocks).toBeGreaterThan(2 / 3);
    expect(ffree / files).toBeGreaterThan(2 / 3);
    expect(files).toBeLessThan(200_000);
    for (let index = 0; index < CONTAINERS; index += 1) rmSync(group(index), { recursive: true });
    expect(statfsSync(HIDDEN).bfree).toBe(blocks);
  });
});
