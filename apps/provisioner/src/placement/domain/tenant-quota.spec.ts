import { describe, expect, it } from '@jest/globals';
import { quotaRefusal, type TenantQuota, type TenantUsage } from './tenant-quota.js';

const MIB = 1024 ** 2;
const asked = { memoryBytes: 64 * MIB, cpus: 1, containers: 1, diskBytes: MIB };

describe('quotaRefusal', () => {
  it.each<[string, TenantUsage, TenantQuota, RegExp | undefined]>([
    ['no quota', { containers: 1_000, memoryBytes: 1e15, diskBytes: 1e15 }, {}, undefined],
    ['room for one more', { containers: 4, memoryBytes: 0, diskBytes: 0 }, { containers: 5 }, undefined],
    ['no room for one more', { containers: 5, memoryBytes: 0, diskBytes: 0 }, { containers: 5 }, /5 of 5 containers/],
    [
      'exactly the memory',
      { containers: 0, memoryBytes: 64 * MIB, diskBytes: 0 },
      { memoryBytes: 128 * MIB },
      undefined,
    ],
    [
      'a byte too much',
      { containers: 0, memoryBytes: 64 * MIB + 1, diskBytes: 0 },
      { memoryBytes: 128 * MIB },
      /64 MiB more are too many/,
    ],
    ['a disk that alone is too much', { containers: 0, memoryBytes: 0, diskBytes: 0 }, { diskBytes: MIB / 2 }, /1 MiB/],
    ['disk left', { containers: 0, memoryBytes: 0, diskBytes: MIB - 1 }, { diskBytes: MIB }, undefined],
    [
      'no disk left',
      { containers: 0, memoryBytes: 0, diskBytes: MIB },
      { diskBytes: MIB },
      /1 MiB of its 1 MiB of disk/,
    ],
    [
      'both, one of them full',
      { containers: 1, memoryBytes: 128 * MIB, diskBytes: 0 },
      { containers: 9, memoryBytes: 128 * MIB },
      /128 MiB of its 128 MiB/,
    ],
  ])('%s', (_, usage, quota, message) => {
    const refusal = quotaRefusal('acme', usage, asked, quota);
    if (message) expect(refusal).toMatch(message);
    else expect(refusal).toBeUndefined();
  });
});
