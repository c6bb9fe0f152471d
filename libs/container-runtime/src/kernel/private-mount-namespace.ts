/**
 * Depends on: crun, which refuses cgroups of version 1 and 2 side by side, decides by the type of file system at
 * /sys/fs/cgroup/unified, and takes a memory file system there for one more hierarchy, with a directory and a file of
 * one page for each container. Seen with crun 1.8.1. A mount namespace belongs to a thread, and Node has several, so
 * the process replaces itself.
 * Noticed by: private-mount-namespace.int-spec.ts; agent-group.int-spec.ts; oci-runtime.int-spec.ts, "leaves nothing on what hides the second
 * hierarchy".
 * Instead: runc, which takes such cgroups as they are (runtime-binary.ts); needless on cgroups of one version.
 */
import { openSync, writeFileSync } from 'node:fs';
import { bindCall, hasCode, lastErrno, SystemCallError } from '@plinth/host-os';
import { cgroupLayout } from './cgroup-tree.js';

/** sched.h, sys/mount.h */
const CLONE_NEWNS = 0x0002_0000;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_REC = 0x4000;
const MS_SLAVE = 1 << 19;
/** fcntl.h */
const F_SETFD = 2;
const UNIFIED = '/sys/fs/cgroup/unified';
/**
 * What the memory file system may hold. crun takes it for one more hierarchy and leaves for each container, until that
 * is removed, a directory and in it a file of one page (crun 1.8: `plinth-<id>/cgroup.procs`). The limit is three times
 * what 10,000 containers need, in pages of this machine's size. No memory is taken before it is written.
 */
const HIDING_LIMITS = 'nr_blocks=32768,nr_inodes=65536';
const MARKER = 'PLINTH_PRIVATE_MOUNT_NAMESPACE';
/** Descriptor of the namespace that was left. */
const HOST_MARKER = 'PLINTH_HOST_MOUNT_NAMESPACE';

/** A step that the kernel refused; needs CAP_SYS_ADMIN. */
export class MountNamespaceError extends SystemCallError {
  override readonly name = 'MountNamespaceError';
  constructor(
    readonly step: 'unshare' | 'mount' | 'execve',
    errno: number,
  ) {
    super(step, errno, 'for a private mount namespace');
  }
}

/**
 * `entered`: this process is in the namespace. `children-only`: this thread and what it spawns are; the thread pool's
 * file operations are not.
 */
export type MountNamespaceOutcome = 'entered' | 'children-only';

let isPrivate = false;
let hasAllThreads = false;
let hostNamespace: number | undefined;

/** Whether what this thread mounts is hidden from the host. */
export function isInPrivateMountNamespace(): boolean {
  return isPrivate;
}

/** Whether this holds for the other threads of this process, too. */
export function isPrivateForAllThreads(): boolean {
  return hasAllThreads;
}

/**
 * Program and arguments that come before those of a program which is to run where this process was before it entered
 * its own mount namespace: what that program mounts outlives this process. Empty: it is there still.
 */
export function inHostMountNamespace(): readonly string[] {
  if (hostNamespace === undefined) return [];
  return ['nsenter', `--mount=/proc/${process.pid}/fd/${hostNamespace}`, '--'];
}

/**
 * What this process starts has its group of the hierarchy that will be hidden, containers too, as the runtime does not
 * see it. In the root they are not ended with this process's group. On such a machine no limit depends on it.
 */
function leaveHiddenGroup(): void {
  try {
    // `0` is the writer's own process, cgroups(7).
    writeFileSync(`${UNIFIED}/cgroup.procs`, '0', { flag: 'r+' });
  } catch (error) {
    // A group of another's making that may not be changed.
    if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS')) throw error;
  }
}

/**
 * Enters a mount namespace of this process's own (slave of the host's, so later host mounts still arrive and ours never
 * leak out): containers' views are mounted there. Where cgroups are hybrid, it also hides the version 2 hierarchy from
 * crun, which refuses it, by a private memory file system.
 *
 * First line of a service's main.ts, on the main thread, before anything is opened or listened on: a namespace belongs
 * to a thread and Node has several, so the process replaces itself by execve(2) – same pid, same argv and environment,
 * same standard streams, everything else but the way back closed – and the promise of the first call never settles.
 * With `reexecute: false` nothing is replaced: for tests, and for tools that only spawn.
 * @throws MountNamespaceError
 */
export async function enterPrivateMountNamespace(
  options: { reexecute: boolean } = { reexecute: true },
): Promise<MountNamespaceOutcome> {
  const reexecuted = process.env[MARKER] === String(process.pid);
  // Children must not inherit the mark: they did not do this themselves.
  delete process.env[MARKER];
  const inherited = process.env[HOST_MARKER];
  delete process.env[HOST_MARKER];
  if (reexecuted) {
    if (inherited !== undefined) hostNamespace = Number(inherited);
    isPrivate = true;
    hasAllThreads = true;
    return 'entered';
  }
  const check = (step: MountNamespaceError['step'], result: number): void => {
    if (result !== 0) throw new MountNamespaceError(step, lastErrno());
  };
  const unshare = bindCall('int unshare(int flags)');
  const mount = bindCall(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  if (cgroupLayout() === 'hybrid') leaveHiddenGroup();
  const left = openSync('/proc/thread-self/ns/mnt', 'r');
  check('unshare', unshare(CLONE_NEWNS));
  check('mount', mount('none', '/', null, MS_REC | MS_SLAVE, null));
  if (cgroupLayout() === 'hybrid')
    check('mount', mount('plinth', UNIFIED, 'tmpfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, `${HIDING_LIMITS},mode=755`));
  if (!options.reexecute) {
    isPrivate = true;
    hostNamespace = left;
    return 'children-only';
  }
  // Node marks every descriptor it starts with as close-on-exec, the standard streams too.
  const fcntl = bindCall('int fcntl(int fd, int command, ...)');
  for (const kept of [0, 1, 2, left]) fcntl(kept, F_SETFD, 'int', 0);
  const argv = [process.argv0, ...process.execArgv, ...process.argv.slice(1)];
  const marks = { [MARKER]: String(process.pid), [HOST_MARKER]: String(left) };
  const environment = Object.entries({ ...process.env, ...marks }).map(([name, value]) => `${name}=${value}`);
  const execve = bindCall('int execve(const char *path, const char **argv, const char **envp)');
  execve(process.execPath, [...argv, null], [...environment, null]);
  throw new MountNamespaceError('execve', lastErrno());
}
