/**
 * Depends on: a child that clone(2) has made with CLONE_NEWUSER keeps its user namespace until it is reaped, so that its
 * maps can be written and its descriptor opened meanwhile, also before it has run and after it has ended; glibc's
 * clone(3), which lets the child call any function and end; and that a function which does nothing but a system call
 * leaves the memory alone that the child shares with this process, and so does sleep(3), which also ends when this
 * process was killed before it could end the child. Node can't make a user namespace itself,
 * because it has several threads. A network namespace belongs to the user namespace of the process that makes it: so
 * both are made at once. Seen with Linux 6.18 and glibc 2.36.
 * Noticed by: every start of a container with users of its own (own-users.int-spec.ts).
 * Instead: nothing; the check at the agent's start (own-users-check.ts) names the step that fails.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { bindCall, lastErrno, SystemCallError } from '@plinth/host-os';

/** sched.h */
const CLONE_VM = 0x100;
const CLONE_NEWUSER = 0x1000_0000;
const CLONE_NEWNET = 0x4000_0000;
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
/** Far longer than its descriptors take to be opened. What this process had locked is locked meanwhile. */
const CHILD_SECONDS = 5;
const REAP_AGAIN_MS = 5;

interface Calls {
  /** A child that ends at once. */
  readonly clone: (stack: Buffer, flags: number) => number;
  /** One that waits until it is killed, or for {@link CHILD_SECONDS}: its network ends with it, unless it is open. */
  readonly cloneWaiting: (stack: Buffer, flags: number) => number;
  readonly reap: (pid: number) => number;
  readonly setSignalMask: (next: Buffer, before: Buffer | null) => number;
}

let bound: Calls | undefined;

function calls(): Calls {
  if (bound !== undefined) return bound;
  const find = bindCall('uint64_t dlsym(void *handle, const char *name)');
  const clone = bindCall('int clone(uint64_t function, void *stack, int flags, uint64_t argument)');
  const waitpid = bindCall('int waitpid(int pid, void *status, int options)');
  const mask = bindCall('int pthread_sigmask(int how, const void *next, void *before)');
  const [nothing, sleep] = [find(null, 'getppid'), find(null, 'sleep')];
  return (bound = {
    clone: (stack, flags) => clone(nothing, stack, flags | CLONE_VM, 0),
    cloneWaiting: (stack, flags) => clone(sleep, stack, flags | CLONE_VM, CHILD_SECONDS),
    reap: (pid) => waitpid(pid, null, WNOHANG | WALL),
    setSignalMask: (next, before) => mask(SIG_SETMASK, next, before),
  });
}

/** Children that have not been reaped, with the stacks that they run on. */
const children = new Map<number, Buffer>();
/** Those of them that are not reaped yet, because their maps are to be written. */
const kept = new Set<number>();
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
  const pid = makeChild('clone', CLONE_NEWUSER);
  try {
    writeMaps(pid, hostId, size);
    return openSync(`/proc/${pid}/ns/user`, 'r');
  } finally {
    reapLater();
  }
}

export function closeUserNamespace(descriptor: number): void {
  closeSync(descriptor);
}

/** Namespaces that a container is to be made in. They end with their descriptors, or with the container. */
export interface OwnNamespaces {
  /** Absent: its users are the host's. */
  readonly users?: number;
  readonly network: number;
}

/**
 * A network namespace in which no process is, and the user namespace that it belongs to.
 * @param hostId as in {@link openUserNamespace}; absent: the network belongs to the host's users
 * @throws SystemCallError when the kernel allows none, e.g. ENOSPC: user.max_net_namespaces
 */
export function openNamespaces(hostId: number | undefined, size: number): OwnNamespaces {
  if (hostId !== undefined) return mapNamespaces(prepareNamespaces(), hostId, size);
  const pid = makeChild('cloneWaiting', CLONE_NEWNET);
  try {
    return { network: openSync(`/proc/${pid}/ns/net`, 'r') };
  } finally {
    process.kill(pid, 'SIGKILL');
    reapLater();
  }
}

/** Makes a namespace that ends at once. @param flag of sched.h @throws SystemCallError when the kernel refuses it */
export function tryNamespace(flag: number): void {
  makeChild('clone', flag);
  reapLater();
}

/** A pair whose users are nobody yet. It ends with this process, or by {@link discardNamespaces}. */
export interface PreparedNamespaces {
  /** Of the child that made it: it has ended, and is kept until its maps are written. */
  readonly pid: number;
  readonly users: number;
  readonly network: number;
}

/** The part of {@link openNamespaces} that depends on no container. @throws SystemCallError */
export function prepareNamespaces(): PreparedNamespaces {
  const pid = makeChild('cloneWaiting', CLONE_NEWNET | CLONE_NEWUSER);
  const opened: number[] = [];
  const open = (name: string): number => {
    const descriptor = openSync(`/proc/${pid}/ns/${name}`, 'r');
    opened.push(descriptor);
    return descriptor;
  };
  kept.add(pid);
  try {
    return { pid, users: open('user'), network: open('net') };
  } catch (error) {
    for (const descriptor of opened) closeSync(descriptor);
    kept.delete(pid);
    throw error;
  } finally {
    process.kill(pid, 'SIGKILL');
    reapLater();
  }
}

/** As {@link openNamespaces}; what was prepared is used up, also when it fails. */
export function mapNamespaces(
  { pid, users, network }: PreparedNamespaces,
  hostId: number,
  size: number,
): OwnNamespaces {
  try {
    writeMaps(pid, hostId, size);
    return { users, network };
  } catch (error) {
    closeNamespaces({ users, network });
    throw error;
  } finally {
    kept.delete(pid);
    reapLater();
  }
}

export function discardNamespaces({ pid, users, network }: PreparedNamespaces): void {
  closeNamespaces({ users, network });
  kept.delete(pid);
  reapLater();
}

export function closeNamespaces({ users, network }: OwnNamespaces): void {
  for (const descriptor of [users, network]) if (descriptor !== undefined) closeSync(descriptor);
}

/** For other processes, as long as this one has it open. */
export function pathOfDescriptor(descriptor: number): string {
  return `/proc/${process.pid}/fd/${descriptor}`;
}

export function pathsOfNamespaces({ users, network }: OwnNamespaces): {
  readonly users?: string;
  readonly network: string;
} {
  return { ...(users !== undefined && { users: pathOfDescriptor(users) }), network: pathOfDescriptor(network) };
}

function writeMaps(pid: number, hostId: number, size: number): void {
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${hostId} ${size}`);
}

function makeChild(how: 'clone' | 'cloneWaiting', flags: number): number {
  const { setSignalMask, [how]: clone } = calls();
  const stack = freeStacks.pop() ?? Buffer.alloc(STACK_BYTES);
  // The child must not run this process's signal handlers.
  const before = Buffer.alloc(SIGNAL_SET_BYTES);
  setSignalMask(Buffer.alloc(SIGNAL_SET_BYTES, 0xff), before);
  const pid = clone(stack.subarray(STACK_BYTES - STACK_MARGIN), flags);
  const errno = lastErrno();
  setSignalMask(before, null);
  if (pid < 0) throw new SystemCallError('clone', errno, 'for namespaces');
  children.set(pid, stack);
  return pid;
}

/** Without waiting: on a busy machine a child may not have run yet. */
function reapLater(): void {
  for (const [pid, stack] of children) {
    if (kept.has(pid) || calls().reap(pid) === 0) continue;
    children.delete(pid);
    freeStacks.push(stack);
  }
  clearTimeout(reaping);
  reaping = children.size > kept.size ? setTimeout(reapLater, REAP_AGAIN_MS) : undefined;
}
