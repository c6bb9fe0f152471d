/**
 * Depends on: a child that clone(2) has made with CLONE_NEWUSER and that has ended keeps its user namespace until it is
 * reaped, so that its maps can be written and its descriptor opened meanwhile; glibc's clone(3), which lets the child
 * call any function and end; and that a function which does nothing but a system call leaves the parent's memory alone.
 * Node can't make a user namespace itself, because it has several threads. Seen with Linux 6.18 and glibc 2.36.
 * Noticed by: idmapped-views.int-spec.ts, and every start of a container with users of its own.
 * Instead: nothing; the check at the agent's start (user-namespace-support.ts) names the step that fails.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { bindCall, lastErrno, SystemCallError } from '@plinth/host-os';

/** sched.h */
const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;
const CLONE_NEWUSER = 0x1000_0000;
/** sys/wait.h: also a child that sends no signal at its end. */
const WCLONE_ANY = 0x4000_0000;
const STACK_BYTES = 65_536;
/** Left free above the stack's beginning. */
const STACK_MARGIN = 256;

let bound:
  | {
      readonly clone: (stack: Buffer) => number;
      readonly reap: (pid: number) => number;
    }
  | undefined;

function calls(): NonNullable<typeof bound> {
  if (bound !== undefined) return bound;
  const find = bindCall('uint64_t dlsym(void *handle, const char *name)');
  const clone = bindCall('int clone(uint64_t function, void *stack, int flags, void *argument)');
  const waitpid = bindCall('int waitpid(int pid, void *status, int options)');
  const nothing = find(null, 'getppid');
  return (bound = {
    clone: (stack) => clone(nothing, stack, CLONE_NEWUSER | CLONE_VM | CLONE_VFORK, null),
    reap: (pid) => waitpid(pid, null, WCLONE_ANY),
  });
}

const stack = Buffer.alloc(STACK_BYTES);

/**
 * A user namespace in which no process is: for idmapped mounts. Takes a fifth of a millisecond, because the child
 * shares this process's memory and ends at once.
 * @param hostId what id 0 of the namespace is outside of it; the ids after it follow
 * @returns its descriptor, which the caller closes
 * @throws SystemCallError when the kernel allows none, e.g. ENOSPC: user.max_user_namespaces
 */
export function openUserNamespace(hostId: number, size: number): number {
  const { clone, reap } = calls();
  const pid = clone(stack.subarray(STACK_BYTES - STACK_MARGIN));
  if (pid < 0) throw new SystemCallError('clone', lastErrno(), 'for a user namespace');
  try {
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${hostId} ${size}`);
    return openSync(`/proc/${pid}/ns/user`, 'r');
  } finally {
    reap(pid);
  }
}

export function closeUserNamespace(descriptor: number): void {
  closeSync(descriptor);
}
