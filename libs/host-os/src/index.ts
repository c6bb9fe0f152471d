/** The host's operating system: calls of the C library, locks, files that survive a crash, errors by their code. */
export {
  bindCall,
  type BoundCall,
  errnoName,
  type ForeignLibrary,
  lastErrno,
  openLibrary,
  SystemCallError,
} from './libc.js';
export { type FileLock, isFileLocked, takeFileLock, tryFileLock, tryTransientLock } from './file-lock.js';
export { removeTemporaries, syncPath, writeDurably, writeInPlace, writeWhole } from './durable-file.js';
export { asFileOwner } from './file-owner.js';
export { type LargePipe, openLargePipe } from './large-pipe.js';
export { removeTree } from './remove-tree.js';
export { syncFileSystem } from './sync-file-system.js';
export { codeOf, hasCode, isMissing, unlessMissing } from './system-error.js';
export { attribute, attributesOf, removeAttribute, setAttribute } from './extended-attributes.js';
export { readBootId } from './boot-id.js';
export type { DiskLimit, DiskLimiter, DiskUsage } from './disk-limits/disk-limit.js';
export { openDiskLimits } from './disk-limits/open-disk-limits.js';
export { enableBtrfsQuota } from './disk-limits/btrfs-quota.js';
