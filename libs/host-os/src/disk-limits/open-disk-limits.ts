/** Which file system can hold directories to a size, and how. */
import { statfsSync } from 'node:fs';
import { BTRFS_MAGIC, openBtrfsQuota } from './btrfs-quota.js';
import type { DiskLimiter } from './disk-limit.js';
import { EXT4_MAGIC, openProjectQuota, XFS_MAGIC } from './project-quota.js';

/** @param mount a directory of the file system @returns why it can't, in words with what to do */
export function openDiskLimits(mount: string): DiskLimiter | string {
  try {
    switch (statfsSync(mount).type) {
      case BTRFS_MAGIC:
        return openBtrfsQuota(mount);
      case EXT4_MAGIC:
        return openProjectQuota(mount, 'ext4');
      case XFS_MAGIC:
        return openProjectQuota(mount, 'xfs');
      default:
        return 'its file system is none of btrfs, ext4 and xfs';
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
