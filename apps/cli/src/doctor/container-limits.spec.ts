import { describe, expect, it } from '@jest/globals';
import { containerRoom, type MachineReadings, roomLines } from './container-limits.js';

const LARGE: MachineReadings = {
  availableMemoryBytes: 64 * 1024 ** 3,
  pids: 4_000_000,
  threads: 400_000,
  openFiles: 6_000_000,
  descriptors: 65_536,
  keys: 1_000_000,
  keyBytes: 25_000_000,
  namespaces: { left: 250_000, setting: 'user.max_net_namespaces' },
  memoryCgroups: 65_000,
  mounts: 100_000,
  runBytes: 12 * 1024 ** 3,
  runInodes: 3_000_000,
  stateBytes: 500 * 1024 ** 3,
  stateInodes: 30_000_000,
};

describe('how many containers fit', () => {
  it.each<[string, MachineReadings, string, number]>([
    ['the 16 bits of memory cgroups', {}, 'memory cgroups', 65_000],
    ['memory', { availableMemoryBytes: 1024 ** 3 }, 'memory', 2048],
    ['pid_max as it is on small machines', { pids: 32_000 }, 'process ids', 16_000],
    ['threads', { threads: 5_001 }, 'threads', 2_500],
    ['TasksMax of the unit', { cgroupPids: 4_915 }, 'pids of the cgroup', 4_815],
    ['open files', { openFiles: 49_000 }, 'open files', 1_000],
    ['keys', { keys: 200 }, 'keys', 200],
    ['bytes of keys', { keyBytes: 20_000 }, 'bytes of keys', 312],
    ['namespaces', { namespaces: { left: 1_900, setting: 'user.max_net_namespaces' } }, 'namespaces', 1_900],
    ['ranges of user ids', { idRanges: 28_664 }, 'ranges of user ids', 28_664],
    ['/run', { runBytes: 48 * 1024 * 10 }, '/run, space', 10],
    ['what the agent accepts', { agentCapacity: 4_000 }, 'capacity of the agent', 4_000],
    ['what the agent itself needs', { descriptors: 256 }, 'descriptors of a process', 0],
    ['the agent comes first', { cgroupPids: 50 }, 'pids of the cgroup', 0],
    ['more in use than allowed', { keys: -5 }, 'keys', 0],
  ])('is ended by %s', (_name, change, firstLimit, fits) => {
    const room = containerRoom({ ...LARGE, ...change });
    expect(room).toMatchObject({ firstLimit, fits });
    expect(room.limits[0]).toMatchObject({ resource: firstLimit, fits });
  });

  it('is not limited by a resource that only makes things slower, and marks it as soft', () => {
    const room = containerRoom({ ...LARGE, inotifyInstances: 128 });
    expect(room.firstLimit).toBe('memory cgroups');
    expect(room.limits[0]).toMatchObject({ resource: 'inotify instances', fits: 100, soft: true });
  });

  it('marks how many of them may have systemd as its first process', () => {
    const room = containerRoom({ ...LARGE, inotifyInstancesOfAll: 128 });
    expect(room.limits[0]).toMatchObject({ resource: 'inotify, with systemd', fits: 16, soft: true });
  });

  it('has no end where nothing is known of one', () => {
    expect(containerRoom({})).toEqual({ fits: null, firstLimit: null, limits: [] });
    expect(containerRoom({ mounts: 100_000 })).toMatchObject({ fits: null, limits: [{ fits: null }] });
  });

  it('names the setting of the namespaces that end first', () => {
    const { limits } = containerRoom({ namespaces: { left: 10, setting: 'user.max_net_namespaces' } });
    expect(limits[0]?.raise).toBe('sysctl user.max_net_namespaces');
  });

  it('is a table for people', () => {
    const room = containerRoom({ availableMemoryBytes: 1024 ** 3, mounts: 100_000, inotifyInstances: 128 });
    expect(roomLines(room)).toEqual([
      'resource               containers  left     each     to raise it',
      'inotify instances      100         128      1        sysctl fs.inotify.max_user_instances (beyond: exits are noticed a second late)',
      'memory                 2048        1.0 GiB  512 KiB  more memory',
      'mounts of a namespace  any         100000   -        -',
    ]);
  });
});
