import { describe, expect, it } from '@jest/globals';
import { lacksOption } from './kernel-option.js';
import { decodeUsage, encodeQuota, withProject } from './project-quota.js';

/** linux/dqblk_xfs.h, `struct fs_disk_quota`: the offsets are those that a C compiler gives. */
describe('a project quota', () => {
  it('has hard and soft limits of bytes, in blocks of 512, and of files', () => {
    const quota = encodeQuota(0x1234_5678, { bytes: 10_000, files: 7 });
    expect(quota).toHaveLength(112);
    expect([quota.readInt8(0), quota.readInt8(1), quota.readUInt16LE(2), quota.readUInt32LE(4)]).toEqual([
      1, 2, 15, 0x1234_5678,
    ]);
    expect([8, 16, 24, 32].map((at) => quota.readBigUInt64LE(at))).toEqual([20n, 20n, 7n, 7n]);
    expect(quota.subarray(40).every((byte) => byte === 0)).toBe(true);
  });

  it('does not limit files where none are named', () => {
    expect(encodeQuota(1, { bytes: 512 }).readBigUInt64LE(24)).toBe(0n);
  });

  it('is read back', () => {
    const quota = Buffer.alloc(112);
    quota.writeBigUInt64LE(3n, 40);
    quota.writeBigUInt64LE(9n, 48);
    expect(decodeUsage(quota)).toEqual({ bytes: 1536, files: 9 });
  });

  it.each([
    ['CONFIG_QFMT_V2=y', false],
    ['CONFIG_QFMT_V2=m', false],
    ['# CONFIG_QFMT_V2 is not set', true],
    ['CONFIG_QFMT_V2_X=y', true],
  ])('is something that a kernel with %s lacks: %s', (line, lacks) => {
    expect(lacksOption(`CONFIG_QUOTA=y\n${line}\n`, 'CONFIG_QFMT_V2')).toBe(lacks);
  });

  it('is inherited by what is made below, and keeps the other attributes', () => {
    const before = Buffer.alloc(28);
    before.writeUInt32LE(0x8000_0001, 0);
    before.writeUInt32LE(4096, 4);
    const after = withProject(before, 4_000_000_000);
    expect([after.readUInt32LE(0), after.readUInt32LE(4), after.readUInt32LE(12)]).toEqual([
      0x8000_0201, 4096, 4_000_000_000,
    ]);
    expect(before.readUInt32LE(12)).toBe(0);
  });
});
