/** Extended attributes, xattr(7). No call follows a symlink at the end of its path. */
import { bindCall, type BoundCall, errnoName, lastErrno, SystemCallError } from './libc.js';

interface Calls {
  readonly list: BoundCall;
  readonly get: BoundCall;
  readonly set: BoundCall;
  readonly remove: BoundCall;
}

let bound: Calls | undefined;

function calls(): Calls {
  return (bound ??= {
    list: bindCall('int64_t llistxattr(const char *path, _Out_ void *list, size_t size)'),
    get: bindCall('int64_t lgetxattr(const char *path, const char *name, _Out_ void *value, size_t size)'),
    set: bindCall('int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)'),
    remove: bindCall('int lremovexattr(const char *path, const char *name)'),
  });
}

/** XATTR_LIST_MAX and XATTR_SIZE_MAX of the kernel; filled by each call, which nothing interrupts. */
const room = Buffer.alloc(65_536);

/** Names; none where the file system keeps no attributes. @throws SystemCallError */
export function attributesOf(path: string): readonly string[] {
  const length = calls().list(path, room, room.length);
  if (length === 0) return [];
  if (length > 0) return room.toString('latin1', 0, length - 1).split('\0');
  const errno = lastErrno();
  if (errnoName(errno) === 'ENOTSUP') return [];
  throw new SystemCallError('llistxattr', errno, path);
}

/** @throws SystemCallError `ENODATA` when there is none */
export function attribute(path: string, name: string): Buffer {
  const length = calls().get(path, name, room, room.length);
  if (length < 0) throw new SystemCallError('lgetxattr', lastErrno(), path);
  return Buffer.from(room.subarray(0, length));
}

/** @throws SystemCallError `ENOTSUP` where the file system keeps no attributes, `EPERM` without the right to set it */
export function setAttribute(path: string, name: string, value: Uint8Array): void {
  if (calls().set(path, name, value, value.length, 0) !== 0) throw new SystemCallError('lsetxattr', lastErrno(), path);
}

/** @throws SystemCallError */
export function removeAttribute(path: string, name: string): void {
  if (calls().remove(path, name) !== 0) throw new SystemCallError('lremovexattr', lastErrno(), path);
}
