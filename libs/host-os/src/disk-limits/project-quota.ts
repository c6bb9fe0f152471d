/**
 * Limits on ext4 and xfs: the directory and everything below it belongs to a project, whose quota has the limit, of
 * bytes and of files. The number of a project is that of the directory's inode.
 *
 * Depends on: FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR of linux/fs.h, and quotactl_fd(2) (Linux 5.14) with the requests
 * of linux/dqblk_xfs.h, which both file systems take.
 * Noticed by: project-quota.spec.ts for the bytes; nothing for the kernel: the one that tests run on has no quotas for
 * either file system.
 * Instead: a file system that refuses to show its quotas holds no limits, and says so.
 */
import { closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import { bindCall, type BoundCall, lastErrno, SystemCallError } from '../libc.js';
import { hasCode } from '../system-error.js';
import { control, controlNumber, IOC_READ, IOC_WRITE } from './file-control.js';
import type { DiskLimit, DiskLimiter, DiskUsage } from './disk-limit.js';
import { isKernelWithout } from './kernel-option.js';

/** linux/magic.h */
export const EXT4_MAGIC = 0xef53;
export const XFS_MAGIC = 0x5846_5342;
/** linux/fs.h: `struct fsxattr`, its requests, and the flag that new files inherit the project. */
const FSXATTR_BYTES = 28;
const FSGETXATTR = controlNumber(IOC_READ, 0x58, 31, FSXATTR_BYTES);
const FSSETXATTR = controlNumber(IOC_WRITE, 0x58, 32, FSXATTR_BYTES);
const XFLAG_PROJINHERIT = 0x200;
/** linux/quota.h, linux/dqblk_xfs.h */
const PROJECT_QUOTA = 2;
const Q_XGETQUOTA = 0x5803;
const Q_XSETQLIM = 0x5804;
const FS_DQUOT_VERSION = 1;
const FS_PROJ_QUOTA = 2;
const FIELD_LIMITS = 0b1111;
const DQUOT_BYTES = 112;
const BLOCK = 512;
/** Kernels without it do not even mount an ext4 with that feature for writing. */
const KERNEL_OPTION = { ext4: 'CONFIG_QFMT_V2', xfs: 'CONFIG_XFS_QUOTA' } as const;
/** The same on every architecture. */
const SYS_quotactl_fd = 443n;
const MOST_PROJECT = 0xffff_fffe;

let bound: BoundCall | undefined;

/** @param mount a directory of the file system @returns why it holds no limits, in words with what to do */
export function openProjectQuota(mount: string, fileSystem: 'ext4' | 'xfs'): DiskLimiter | string {
  try {
    quota(mount, Q_XGETQUOTA, 0, Buffer.alloc(DQUOT_BYTES));
  } catch (error) {
    // No quota of project 0 is an answer, too.
    if (!hasCode(error, 'ENOENT')) {
      const option = KERNEL_OPTION[fileSystem];
      if (isKernelWithout(option))
        return `${fileSystem} without project quotas: this kernel was built without them (${option}); btrfs can hold limits here`;
      const how =
        fileSystem === 'ext4'
          ? 'tune2fs -O project -Q prjquota, and the mount option prjquota'
          : 'the mount option prjquota';
      return `${fileSystem} without project quotas: they need ${how}, and a kernel with them`;
    }
  }
  return new ProjectQuota(mount, fileSystem);
}

class ProjectQuota implements DiskLimiter {
  readonly how: string;

  constructor(
    private readonly mount: string,
    fileSystem: 'ext4' | 'xfs',
  ) {
    this.how = `${fileSystem} project quota`;
  }

  makeDirectory(path: string, mode: number): void {
    mkdirSync(path, { mode });
    const attributes = attributesOf(path);
    control(path, FSSETXATTR, withProject(attributes, projectOf(path)), 'set the project of');
  }

  canLimit(path: string): boolean {
    const attributes = attributesOf(path);
    return attributes.readUInt32LE(12) === projectOf(path) && (attributes.readUInt32LE(0) & XFLAG_PROJINHERIT) !== 0;
  }

  limit(path: string, limit: DiskLimit): void {
    const project = projectOf(path);
    quota(this.mount, Q_XSETQLIM, project, encodeQuota(project, limit));
  }

  handleOf(path: string): number {
    return projectOf(path);
  }

  usage(handle: number): DiskUsage | undefined {
    const answer = Buffer.alloc(DQUOT_BYTES);
    try {
      quota(this.mount, Q_XGETQUOTA, handle, answer);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
    return decodeUsage(answer);
  }

  /** A quota without files takes nothing, and its project gets a new limit when its number is used again. */
  sweep(): void {}
}

function attributesOf(path: string): Buffer {
  const attributes = Buffer.alloc(FSXATTR_BYTES);
  control(path, FSGETXATTR, attributes, 'read the project of');
  return attributes;
}

/** `struct fsxattr`: flags, extent size, extents, project. */
export function withProject(attributes: Buffer, project: number): Buffer {
  const changed = Buffer.from(attributes);
  changed.writeUInt32LE((changed.readUInt32LE(0) | XFLAG_PROJINHERIT) >>> 0, 0);
  changed.writeUInt32LE(project, 12);
  return changed;
}

/** @throws RangeError for an inode that is too large for a project */
function projectOf(path: string): number {
  const { ino } = statSync(path);
  if (ino > MOST_PROJECT) throw new RangeError(`inode ${ino} of ${path} is no number of a project`);
  return ino;
}

/** `struct fs_disk_quota` with hard limits, which are the soft ones too: nothing is tolerated for a time. */
export function encodeQuota(project: number, { bytes, files = 0 }: DiskLimit): Buffer {
  const quotas = Buffer.alloc(DQUOT_BYTES);
  quotas.writeInt8(FS_DQUOT_VERSION, 0);
  quotas.writeInt8(FS_PROJ_QUOTA, 1);
  quotas.writeUInt16LE(FIELD_LIMITS, 2);
  quotas.writeUInt32LE(project, 4);
  const blocks = BigInt(Math.ceil(bytes / BLOCK));
  [blocks, blocks, BigInt(files), BigInt(files)].forEach((value, at) => quotas.writeBigUInt64LE(value, 8 + at * 8));
  return quotas;
}

export function decodeUsage(quotas: Buffer): DiskUsage {
  return { bytes: Number(quotas.readBigUInt64LE(40)) * BLOCK, files: Number(quotas.readBigUInt64LE(48)) };
}

function quota(mount: string, request: number, project: number, argument: Buffer): void {
  const fd = openSync(mount, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    bound ??= bindCall('long syscall(long number, long fd, long request, long id, void *argument)');
    const command = BigInt(((request << 8) | PROJECT_QUOTA) >>> 0);
    if (bound(SYS_quotactl_fd, BigInt(fd), command, BigInt(project), argument) !== 0)
      throw new SystemCallError('quotactl_fd', lastErrno(), `of ${mount}`);
  } finally {
    closeSync(fd);
  }
}
