/** File operations for another user, setfsuid(2): what they make is that user's. */
import { bindCall, type BoundCall, lastErrno, SystemCallError } from './libc.js';

/** linux/prctl.h, linux/securebits.h */
const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
/** Changes of ids take no capabilities away. */
const SECBIT_NO_SETUID_FIXUP = 4;

let bound: Readonly<Record<'prctl' | 'setUser' | 'setGroup', BoundCall>> | undefined;

function calls(): NonNullable<typeof bound> {
  return (bound ??= {
    prctl: bindCall('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)'),
    setUser: bindCall('int setfsuid(unsigned int uid)'),
    setGroup: bindCall('int setfsgid(unsigned int gid)'),
  });
}

/**
 * Files that `work` makes belong to the given ids, with the access rights of this process. A root of this host can make
 * none in the memory file systems of a user namespace in which it is nobody.
 * @param work synchronous: the ids are this thread's
 * @throws SystemCallError
 */
export function asFileOwner<T>(uid: number, gid: number, work: () => T): T {
  const { prctl, setUser, setGroup } = calls();
  const bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) !== 0)
    throw new SystemCallError('prctl', lastErrno(), 'to keep capabilities');
  const [ownUser, ownGroup] = [setUser(uid), setGroup(gid)];
  try {
    return work();
  } finally {
    setUser(ownUser);
    setGroup(ownGroup);
    prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
  }
}
