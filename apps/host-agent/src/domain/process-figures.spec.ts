import { expect, it } from '@jest/globals';
import { parseMountInfo, parseSmapsRollup } from './process-figures.js';
import { firstProcessNotices, signalNumber } from './stop-signal.js';
import { parseStorageMounts } from './storage-mounts.js';

it('adds up private, shared and proportional memory', () => {
  const text =
    '55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  1000 kB\nPss:   300 kB\nPss_Anon: 7 kB\nShared_Clean:  800 kB\nShared_Dirty:  1 kB\nPrivate_Clean:  20 kB\nPrivate_Dirty: 100 kB\n';
  expect(parseSmapsRollup(text)).toEqual({
    privateBytes: 120 * 1024,
    sharedBytes: 801 * 1024,
    proportionalBytes: 300 * 1024,
  });
  expect(parseSmapsRollup('')).toEqual({ privateBytes: 0, sharedBytes: 0, proportionalBytes: 0 });
});

it('reads mounts in their order', () => {
  const text =
    '22 1 0:20 / / ro,relatime master:1 - ext4 /dev/vda ro\n23 22 0:21 / /with\\040space rw - tmpfs tmpfs rw,size=5k\n24 22 0:22 / /sw ro,nosuid - ext4 /dev/vda rw\n';
  expect(parseMountInfo(text)).toEqual([
    { target: '/', type: 'ext4', readOnly: true },
    { target: '/with space', type: 'tmpfs', readOnly: false },
    { target: '/sw', type: 'ext4', readOnly: true },
  ]);
});

it.each([
  ['SIGTERM', 15],
  ['SIGRTMIN+3', 37],
  ['SIGRTMAX-1', 63],
  ['SIGRTMIN+40', undefined],
  ['SIGNOTHING', undefined],
])('knows the number of %s', (name, number) => {
  expect(signalNumber(name)).toBe(number);
});

it('finds whether a first process receives a signal', () => {
  const status = (blocked: string, caught: string): string =>
    `Name:\tx\nSigBlk:\t${blocked}\nSigIgn:\t0000000000004000\nSigCgt:\t${caught}\n`;
  expect(firstProcessNotices(status('0000000000000000', '0000000000004000'), 15)).toBe(true);
  expect(firstProcessNotices(status('0000000000004000', '0000000000000000'), 15)).toBe(true);
  expect(firstProcessNotices(status('0000000000000000', '0000000000000002'), 15)).toBe(false);
});

it.each([
  [
    'sn-1=/mnt/a, sn-2=/mnt/b',
    [
      ['sn-1', '/mnt/a'],
      ['sn-2', '/mnt/b'],
    ],
  ],
  ['', []],
])('reads storage mounts %p', (text, expected) => {
  const found = parseStorageMounts(text);
  expect(typeof found === 'string' ? found : [...found]).toEqual(expected);
});

it.each(['sn-1', 'SN=/a', 'sn-1=relative', 'sn-1=/a,sn-1=/b', 'sn-1=/a:b', 'sn-1=/a/../b'])(
  'refuses storage mounts %p',
  (text) => {
    expect(typeof parseStorageMounts(text)).toBe('string');
  },
);
