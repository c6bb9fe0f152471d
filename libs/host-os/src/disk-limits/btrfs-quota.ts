/**
 * Limits on btrfs: each directory is a subvolume of its own, whose quota group has the limit. Files have no number of
 * their own: what they take of the file system's trees counts as bytes.
 *
 * Depends on: ioctl(2) requests of linux/btrfs.h, and /sys/fs/btrfs/<id>/qgroups (Linux 5.9). Seen with Linux 6.18.
 * Noticed by: btrfs-quota.int-spec.ts.
 * Instead: a file system without it holds no limits, and says so.
 */
import { chmodSync, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SystemCallError } from '../libc.js';
import { hasCode } from '../system-error.js';
import { control, controlNumber, IOC_READ, IOC_WRITE } from './file-control.js';
import type { DiskLimit, DiskLimiter, DiskUsage } from './disk-limit.js';

/** linux/magic.h */
export const BTRFS_MAGIC = 0x9123_683e;
/** linux/btrfs.h: its requests, and how large their arguments are. */
const TYPE = 0x94;
const SUBVOL_CREATE = controlNumber(IOC_WRITE, TYPE, 14, 4096);
const INO_LOOKUP = controlNumber(IOC_READ | IOC_WRITE, TYPE, 18, 4096);
const FS_INFO = controlNumber(IOC_READ, TYPE, 31, 1024);
const QUOTA_CTL = controlNumber(IOC_READ | IOC_WRITE, TYPE, 40, 16);
const QGROUP_CREATE = controlNumber(IOC_WRITE, TYPE, 42, 16);
const QGROUP_LIMIT = controlNumber(IOC_READ, TYPE, 43, 48);
const ENABLE_SIMPLE = 4;
const FIRST_FREE_OBJECT = 256n;
const LIMIT_REFERENCED = 1n;
/** Of the root directory of a subvolume. */
const SUBVOLUME_INODE = 256;
/** Numbers of subvolumes begin there. */
const FIRST_SUBVOLUME = 256;

/** @param mount a directory of the file system @returns why it holds no limits, in words with what to do */
export function openBtrfsQuota(mount: string): DiskLimiter | string {
  const groups = join('/sys/fs/btrfs', identityOf(mount), 'qgroups');
  if (readOr(join(groups, 'enabled'), '0') !== '1')
    return 'btrfs without quotas: enable them with host-agent --enable-disk-limits, or btrfs quota enable --simple';
  // What it counts then is wrong, and so is what it refuses.
  if (readOr(join(groups, 'inconsistent'), '0') !== '0')
    return 'btrfs with quotas that it counts inconsistently: wait for btrfs quota rescan, or use simple quotas';
  return new BtrfsQuota(mount, groups);
}

/** Simple quotas (Linux 6.7): they cost next to nothing. Kernels before that can't mount the file system any more. */
export function enableBtrfsQuota(mount: string): void {
  const argument = Buffer.alloc(16);
  argument.writeBigUInt64LE(BigInt(ENABLE_SIMPLE));
  control(mount, QUOTA_CTL, argument, 'enable simple quotas on');
}

class BtrfsQuota implements DiskLimiter {
  readonly how = 'btrfs quota group';

  constructor(
    private readonly mount: string,
    private readonly groups: string,
  ) {}

  makeDirectory(path: string, mode: number): void {
    const argument = Buffer.alloc(4096);
    argument.write(basename(path), 8, 'utf8');
    control(dirname(path), SUBVOL_CREATE, argument, `make the subvolume ${basename(path)} in`);
    chmodSync(path, mode);
  }

  canLimit(path: string): boolean {
    return statfsSync(path).type === BTRFS_MAGIC && statSync(path).ino === SUBVOLUME_INODE;
  }

  limit(path: string, { bytes }: DiskLimit): void {
    const argument = Buffer.alloc(48);
    argument.writeBigUInt64LE(BigInt(this.handleOf(path)), 0);
    argument.writeBigUInt64LE(LIMIT_REFERENCED, 8);
    argument.writeBigUInt64LE(BigInt(bytes), 16);
    control(path, QGROUP_LIMIT, argument, 'limit');
  }

  /** Number of the subvolume, which is that of its quota group. */
  handleOf(path: string): number {
    const argument = Buffer.alloc(4096);
    argument.writeBigUInt64LE(FIRST_FREE_OBJECT, 8);
    control(path, INO_LOOKUP, argument, 'look up the subvolume of');
    return Number(argument.readBigUInt64LE(0));
  }

  usage(handle: number): DiskUsage | undefined {
    const text = readOr(join(this.groups, `0_${handle}`, 'referenced'), '');
    return text === '' ? undefined : { bytes: Number(text) };
  }

  /** A subvolume's content is removed later than the subvolume, and its quota group stays until somebody removes it. */
  sweep(): void {
    for (const name of readdirSync(this.groups)) {
      const number = /^0_(\d+)$/.exec(name)?.[1];
      if (number === undefined || Number(number) < FIRST_SUBVOLUME || this.exists(BigInt(number))) continue;
      const argument = Buffer.alloc(16);
      argument.writeBigUInt64LE(BigInt(number), 8);
      try {
        control(this.mount, QGROUP_CREATE, argument, `remove a quota group of`);
      } catch (error) {
        // Something of the subvolume is still there, or another process was faster.
        if (!hasCode(error, 'EBUSY') && !hasCode(error, 'ENOENT')) throw error;
      }
    }
  }

  private exists(subvolume: bigint): boolean {
    const argument = Buffer.alloc(4096);
    argument.writeBigUInt64LE(subvolume, 0);
    argument.writeBigUInt64LE(FIRST_FREE_OBJECT, 8);
    try {
      control(this.mount, INO_LOOKUP, argument, 'look up a subvolume of');
      return true;
    } catch (error) {
      if (error instanceof SystemCallError && error.code === 'ENOENT') return false;
      throw error;
    }
  }
}

/** As in /sys/fs/btrfs. */
function identityOf(mount: string): string {
  const argument = Buffer.alloc(1024);
  control(mount, FS_INFO, argument, 'identify');
  const hex = argument.toString('hex', 16, 32);
  const identity = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return existsSync(join('/sys/fs/btrfs', identity)) ? identity : '';
}

function readOr(path: string, absent: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return absent;
    throw error;
  }
}
