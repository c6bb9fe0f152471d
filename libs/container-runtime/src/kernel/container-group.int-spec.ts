/** Needs root: it makes cgroups, without a process in them. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { cgroupPath } from '../spec/oci-config.js';
import { cgroupHierarchies } from './cgroup-tree.js';
import { cgroupContainerIds, containerGroup, formerParents } from './container-group.js';

const INSTANCE = `spec-${process.pid}`;
const [NEW, OLD] = ['a'.repeat(32), 'b'.repeat(32)];
const former = `/plinth/${OLD}.${INSTANCE}`;
const made: string[] = [];

function make(group: string): void {
  for (const hierarchy of cgroupHierarchies()) {
    mkdirSync(hierarchy + group, { recursive: true });
    made.push(hierarchy + group);
  }
}

afterEach(() => {
  for (const path of made.splice(0)) rmdirSync(path);
  // Another agent's may be in it.
  for (const parent of formerParents())
    try {
      rmdirSync(parent);
    } catch {
      continue;
    }
});

describe('the cgroup of a container', () => {
  it('is beside those of the host', () => {
    expect(containerGroup(NEW, INSTANCE)).toBe(`/plinth-${NEW}.${INSTANCE}`);
    make(cgroupPath(NEW, INSTANCE));
    expect(containerGroup(NEW, INSTANCE)).toBe(`/plinth-${NEW}.${INSTANCE}`);
    expect(cgroupContainerIds(INSTANCE)).toEqual([NEW]);
    expect(cgroupContainerIds('another')).not.toContain(NEW);
  });

  it('is where an agent before this one has put it, until it is gone', () => {
    make(cgroupPath(NEW, INSTANCE));
    make(former);
    expect(containerGroup(OLD, INSTANCE)).toBe(former);
    expect(containerGroup(NEW, INSTANCE)).toBe(`/plinth-${NEW}.${INSTANCE}`);
    expect([...cgroupContainerIds(INSTANCE)].sort()).toEqual([NEW, OLD]);
    for (const path of made.splice(0)) rmdirSync(path);
    expect(containerGroup(OLD, INSTANCE)).toBe(`/plinth-${OLD}.${INSTANCE}`);
    expect(cgroupContainerIds(INSTANCE)).toEqual([]);
  });
});
