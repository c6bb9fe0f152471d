import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { CgroupLock } from './cgroup-lock.js';

/** Descriptors of this process that lead to a cgroup's list of processes. */
function openLists(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.endsWith('/cgroup.procs') ? [path] : [];
    } catch (error) {
      // The descriptor of this very listing.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}

describe('CgroupLock', () => {
  it('takes one turn at a time, moves no process and leaves nothing open', async () => {
    const place = readFileSync('/proc/self/cgroup', 'utf8');
    const lock = new CgroupLock();
    for (let round = 0; round < 3; round += 1) {
      lock.warmUp();
      lock.warmUp();
      expect(openLists()).toHaveLength(1);
      while (openLists().length > 0) await turn();
    }
    expect(readFileSync('/proc/self/cgroup', 'utf8')).toBe(place);
  });
});
