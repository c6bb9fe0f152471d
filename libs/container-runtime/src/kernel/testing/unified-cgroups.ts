/**
 * A machine's cgroups as a host with version 2 alone has them, also where version 1 has the controllers: in the mount
 * namespace of the calling thread, which has to be a private one. Controllers that version 1 has are missing there.
 */
import { bindCall, lastErrno, SystemCallError } from '@plinth/host-os';
import { isInPrivateMountNamespace } from '../private-mount-namespace.js';

const ROOT = '/sys/fs/cgroup';
/** sys/mount.h */
const MNT_DETACH = 2;

/** Mounts version 2 over what is there. @returns what takes it away again */
export function showUnifiedCgroups(): () => void {
  if (!isInPrivateMountNamespace()) throw new Error('the machine itself would lose its cgroups');
  const mount = bindCall(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  const umount = bindCall('int umount2(const char *target, int flags)');
  if (mount('cgroup2', ROOT, 'cgroup2', 0, null) !== 0) throw new SystemCallError('mount', lastErrno(), ROOT);
  return () => {
    if (umount(ROOT, MNT_DETACH) !== 0) throw new SystemCallError('umount2', lastErrno(), ROOT);
  };
}
