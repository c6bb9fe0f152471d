/**
 * Depends on: a child that clone(2) has made with CLONE_NEWUSER keeps its user namespace until it is reaped, so that its
 * maps can be written and its descriptor opened meanwhile, also before it has run and after it has ended; glibc's
 * clone(3), which lets the child call any function and end; and that a function which does nothing but a system call
 * leaves the memory alone that the child shares with this process. Node can't make a user namespace itself, because it
 * has several threads. Seen with Linux 6.18 and glibc 2.36.
 * Noticed by: every start of a container with users of its own (own-users.int-spec.ts).
 * Instead: nothing; the check at the agent's start (own-users-check.ts) names the step that fails.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { bindCall, lastErrno, SystemCallError } from '@plinth/host-os';

/** sched.h */
const CLONE_VM = 0x100;
const CLONE_NEWUSER = 0x1000_0000;
/** sys/wait.h; also children that send no signal at their end. */
const WNOHANG = 1;
const WALL = 0x4000_0000;
/** signal.h */
const SIG_SETMASK = 2;
const STACK_BYTES = 65_536;
/** Left free above the stack's beginning. */
const STACK_MARGIN = 256;
/** More than a sigset_t takes on any architecture. */
const SIGNAL_SET_BYTES = 128;
const REAP_AGAIN_MS = 5;

interface Calls {
  readonly clone: (stack: Buffer) => number;
  readonly reap: (pid: number) => number;
  readonly setSignalMask: (next: Buffer, before: Buffer | null) => number;
}

let bound: Calls | undefined;

function calls(): Calls {
  if (bound !== undefined) return bound;
  const find = bindCall('uint64_t dlsym(void *handle, const char *name)');
  const clone = bindCall('int clone(uint64_t function, void *stack, int flags, void *argument)');
  const waitpid = bindCall('int waitpid(int pid, void *status, int options)');
  const mask = bindCall('int pthread_sigmask(int how, const void *next, void *before)');
  const nothing = find(null, 'getppid');
  return (bound = {
    clone: (stack) => clone(nothing, stack, CLONE_NEWUSER | CLONE_VM, null),
    reap: (pid) => waitpid(pid, null, WNOHANG | WALL),
    setSignalMask: (next, before) => mask(SIG_SETMASK, next, before),
  });
}

/** Children that have not been reaped, with the stacks that they run on. */
const children = new Map<number, Buffer>();
const freeStacks: Buffer[] = [];
let reaping: NodeJS.Timeout | undefined;

/**
 * A user namespace in which no process is: for idmapped mounts. Takes a fraction of a millisecond, because the child
 * shares this process's memory, and nothing waits for it to run.
 * @param hostId what id 0 of the namespace is outside of it; the ids after it follow
 * @returns its descriptor, which the caller closes
 * @throws SystemCallError when the kernel allows none, e.g. ENOSPC: user.max_user_namespaces
 */
export function openUserNamespace(hostId: number, size: number): number {
  const pid = makeChild();
  try {
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${hostId} ${size}`);
    return openSync(`/proc/${pid}/ns/user`, 'r');
  } finally {
    reapLater();
  }
}

export function closeUserNamespace(descriptor: number): void {
  closeSync(descriptor);
}

function makeChild(): number {
  const { clone, setSignalMask } = calls();
  const stack = freeStacks.pop() ?? Buffer.alloc(STACK_BYTES);
  // The child must not run this process's signal handlers.
  const before = Buffer.alloc(SIGNAL_SET_BYTES);
  setSignalMask(Buffer.alloc(SIGNAL_SET_BYTES, 0xff), before);
  const pid = clone(stack.subarray(STACK_BYTES - STACK_MARGIN));
  const errno = lastErrno();
  setSignalMask(before, null);
  if (pid < 0) throw new SystemCallError('clone', errno, 'for a user namespace');
  children.set(pid, stack);
  return pid;
}

/** Without waiting: on a busy machine a child may not have run yet. */
function reapLater(): void {
  for (const [pid, stack] of children) {
    if (calls().reap(pid) === 0) continue;
    children.delete(pid);
    freeStacks.push(stack);
  }
  clearTimeout(reaping);
  reaping = children.size > 0 ? setTimeout(reapLater, REAP_AGAIN_MS) : undefined;
}
