import { describe, expect, it } from '@jest/globals';
import { cgroupFile } from './cgroup-tree.js';
import { ioControlsIn, type IoReading } from './io-controls.js';
import {
  INIT_GROUP_FILES,
  limitEventsIn,
  limitFiles,
  type PresentCgroup,
  swapLimit,
  throttlingIn,
  weightLimit,
} from './limit-files.js';

const MiB = 1024 ** 2;
const DISKS = [{ major: 254, minor: 16 }];
const LIMITS = { memoryBytes: 64 * MiB, cpus: 0.5, pids: 100 };

/** What is written into a cgroup that has all files but those named. */
function written(
  version: 1 | 2,
  limits: Parameters<typeof limitFiles>[0],
  change: Partial<PresentCgroup> = {},
): string[] {
  const files = limitFiles(limits, { version, disks: DISKS, memoryBytes: 0, has: () => true, ...change });
  return files.map(({ controller, file, text }) => `${controller} ${file} ${text}`);
}

const without =
  (...absent: readonly string[]) =>
  (_controller: string, file: string): boolean =>
    !absent.some((name) => file.includes(name));

describe('a limit that is changed', () => {
  it('is a text in a file of version 2', () => {
    expect(written(2, LIMITS, { has: without('io.') })).toEqual([
      'memory memory.max 67108864',
      'cpu cpu.max 50000 100000',
      'cpu cpu.weight 50',
      'pids pids.max 100',
    ]);
  });

  it('of input and output is one line of io.max for each disk, and takes away what is not asked for', () => {
    const io = { disks: DISKS, weight: 500, writeBytesPerSecond: MiB, readOperationsPerSecond: 50 };
    expect(written(2, { io })).toEqual([
      'io io.max 254:16 rbps=max wbps=1048576 riops=50 wiops=max',
      'io io.bfq.weight 500',
    ]);
    expect(written(2, {}, { has: without('bfq') })).toEqual([
      'io io.max 254:16 rbps=max wbps=max riops=max wiops=max',
      'io io.weight 100',
    ]);
    expect(written(2, { io }, { has: without('bfq', 'io.max') })).toEqual(['io io.weight 4950']);
    expect(written(2, { io }, { has: () => false })).toEqual([]);
  });

  it('of version 1 has a file for each rate, and memory with swap in the order that the kernel takes', () => {
    expect(written(1, LIMITS, { has: without('blkio') })).toEqual([
      'memory memory.memsw.limit_in_bytes 67108864',
      'memory memory.limit_in_bytes 67108864',
      'cpu cpu.cfs_quota_us 50000',
      'cpu cpu.shares 512',
      'pids pids.max 100',
    ]);
    expect(written(1, { memoryBytes: MiB }, { has: without('blkio'), memoryBytes: 2 * MiB })).toEqual([
      'memory memory.limit_in_bytes 1048576',
      'memory memory.memsw.limit_in_bytes 1048576',
    ]);
    expect(written(1, { memoryBytes: MiB }, { has: () => false })).toEqual(['memory memory.limit_in_bytes 1048576']);
    expect(written(1, { io: { disks: DISKS, writeBytesPerSecond: MiB } }, { has: without('weight', 'iops') })).toEqual([
      'blkio blkio.throttle.read_bps_device 254:16 0',
      'blkio blkio.throttle.write_bps_device 254:16 1048576',
    ]);
  });

  it.each([
    [0.001, '1000 100000', '1'],
    [1, '100000 100000', '100'],
    [64, '6400000 100000', '6400'],
  ])('of %d processors is a quota and a weight', (cpus, quota, weight) => {
    expect(written(2, { cpus }, { has: () => false })).toEqual([`cpu cpu.max ${quota}`, `cpu cpu.weight ${weight}`]);
  });

  it('is in one directory with version 2, in that of its controller with version 1', () => {
    expect(cgroupFile(2, 'memory', '/plinth-a.b', 'memory.max')).toBe('/sys/fs/cgroup/plinth-a.b/memory.max');
    expect(cgroupFile(1, 'pids', '/plinth-a.b', 'pids.max')).toBe('/sys/fs/cgroup/pids/plinth-a.b/pids.max');
  });
});

describe('what is set for every container', () => {
  it.each([
    [2, 'memory.swap.max 0'],
    [1, 'memory.memsw.limit_in_bytes 1048576'],
  ] as const)('version %i: no swap', (version, swap) => {
    const none = swapLimit(version, MiB);
    expect(`${none.file} ${none.text}`).toBe(swap);
  });

  it('version 2: its weight beside the services of the host, less where more is promised than there is', () => {
    expect(weightLimit(0.5, 1_024)).toEqual({ controller: 'cpu', file: 'cpu.weight', text: '50' });
    expect(weightLimit(0.5, 102.4).text).toBe('5');
  });

  it('is a bound of the groups that an init makes', () => {
    expect(INIT_GROUP_FILES.map(({ file, text }) => `${file} ${text}`)).toEqual([
      'cgroup.max.depth 32',
      'cgroup.max.descendants 1000',
    ]);
  });
});

describe('counters', () => {
  const EVENTS_2 = 'low 0\nhigh 0\nmax 731\noom 3\noom_kill 2\noom_group_kill 0\n';
  const EVENTS_1 = 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n';

  it.each([
    ['version 2', { memory: EVENTS_2, pids: 'max 17\n' }, { memoryKills: 2, refusedForks: 17 }],
    ['version 1', { memory: EVENTS_1, pids: 'max 0\n' }, { memoryKills: 4, refusedForks: 0 }],
    ['a kernel without a controller', { memory: '', pids: '' }, { memoryKills: 0, refusedForks: 0 }],
  ])('of limits: %s', (_of, texts, expected) => {
    expect(limitEventsIn(texts)).toEqual(expected);
  });

  it('of waiting for the processor', () => {
    const version2 = 'usage_usec 9\nuser_usec 4\nnr_periods 12\nnr_throttled 5\nthrottled_usec 2500\nnr_bursts 0\n';
    expect(throttlingIn(2, version2)).toEqual({ periods: 5, waitedMs: 2.5 });
    const version1 = 'nr_periods 12\nnr_throttled 5\nthrottled_time 2500000\n';
    expect(throttlingIn(1, version1)).toEqual({ periods: 5, waitedMs: 2.5 });
    // Version 2 without the controller still shows the time that was used.
    expect(throttlingIn(2, 'usage_usec 9\nuser_usec 4\n')).toEqual({ periods: 0, waitedMs: 0 });
  });
});

describe('input and output that the kernel can limit', () => {
  const plain = { disk: { major: 254, minor: 16 }, scheduler: '[none] mq-deadline bfq' };
  const fair = { ...plain, scheduler: 'none mq-deadline [bfq]' };
  const reading: IoReading = { version: 2, hasMaxima: true, disks: [plain], cost: '' };

  it.each([
    ['maxima', reading, ['maxima']],
    ['weights by the scheduler', { ...reading, disks: [fair] }, ['weight', 'maxima']],
    ['no weights where one disk has none', { ...reading, disks: [fair, plain] }, ['maxima']],
    ['weights by the cost model', { ...reading, cost: '254:16 enable=1 ctrl=auto\n' }, ['weight', 'maxima']],
    ['no weights by the model of another disk', { ...reading, cost: '54:16 enable=1\n' }, ['maxima']],
    ['no cost model with version 1', { ...reading, version: 1, cost: '254:16 enable=1\n' }, ['maxima']],
    ['nothing without the controller', { ...reading, hasMaxima: false, disks: [fair] }, []],
    ['nothing without a disk', { ...reading, disks: [] }, []],
  ] as const)('%s', (_what, given, expected) => {
    expect(ioControlsIn(given)).toEqual(expected);
  });
});
