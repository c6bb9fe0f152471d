/**
 * Work in another network namespace. A namespace belongs to a thread: everything here is synchronous, on the main
 * thread, and back before it returns; a process that can't come back ends, because it would go on with the wrong
 * network.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { bindCall, type BoundCall, lastErrno, SystemCallError } from '@plinth/host-os';

/** sched.h */
const CLONE_NEWNET = 0x4000_0000;
/** sysexits.h */
const EX_OSERR = 71;
const OWN = '/proc/thread-self/ns/net';

let bound: Readonly<Record<'setns' | 'unshare', BoundCall>> | undefined;

function libc(): NonNullable<typeof bound> {
  bound ??= { setns: bindCall('int setns(int fd, int type)'), unshare: bindCall('int unshare(int flags)') };
  return bound;
}

/** It is the network that the caller is in, or the process that had it has ended. */
export class NamespaceError extends Error {
  override readonly name = 'NamespaceError';
}

/** Path of the network namespace of a process. */
export const networkOfProcess = (pid: number): string => `/proc/${pid}/ns/net`;

/** Tells namespaces apart, as long as each is there. @throws NamespaceError */
export function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch (error) {
    throw new NamespaceError(`there is no network namespace ${path}`, { cause: error });
  }
}

/**
 * @param path of the namespace
 * @param work synchronous; gets the namespace's descriptor, which is closed after it
 * @throws NamespaceError when it is gone, or is this thread's own
 */
export function inNetwork<T>(path: string, work: (descriptor: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    throw new NamespaceError(`there is no network namespace ${path}`, { cause: error });
  }
  try {
    return away(
      (own) => {
        if (fstatSync(fd).ino === fstatSync(own).ino) throw new NamespaceError(`${path} is the network of the host`);
        if (libc().setns(fd, CLONE_NEWNET) !== 0) throw new SystemCallError('setns', lastErrno(), path);
      },
      () => work(fd),
    );
  } finally {
    closeSync(fd);
  }
}

/** As {@link inNetwork}, in that of a process. */
export function inNetworkOf<T>(pid: number, work: () => T): T {
  return inNetwork(networkOfProcess(pid), work);
}

/** In a network namespace that nothing else is in, and which ends with what `work` leaves open. */
export function inNewNetwork<T>(work: () => T): T {
  return away(() => {
    if (libc().unshare(CLONE_NEWNET) !== 0) throw new SystemCallError('unshare', lastErrno(), 'of the network');
  }, work);
}

/** For tests: this thread, and what it starts from now on, is in a network of its own. There is no way back. */
export function enterNewNetwork(): void {
  if (!isMainThread) throw new NamespaceError('namespaces are changed on the main thread only');
  if (libc().unshare(CLONE_NEWNET) !== 0) throw new SystemCallError('unshare', lastErrno(), 'of the network');
}

function away<T>(leave: (own: number) => void, work: () => T): T {
  if (!isMainThread) throw new NamespaceError('namespaces are changed on the main thread only');
  const own = openSync(OWN, constants.O_RDONLY);
  try {
    leave(own);
    try {
      return work();
    } finally {
      if (libc().setns(own, CLONE_NEWNET) !== 0) {
        process.stderr.write(`the way back to the network of the host is closed: errno ${lastErrno()}\n`);
        process.exit(EX_OSERR);
      }
    }
  } finally {
    closeSync(own);
  }
}
