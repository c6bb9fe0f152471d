/**
 * Whether the kernel can filter system calls: no container is to run without its filter.
 *
 * Depends on: prctl(2), PR_SET_SECCOMP: with a filter at address 0 it answers EFAULT where it would take one, and EINVAL
 * where it was built without CONFIG_SECCOMP_FILTER; nothing is changed either way. Seen with Linux 6.18.
 * Noticed by: the agent's start, `doctor`; kernel-features.int-spec.ts, and each start of a container.
 * Instead: nothing.
 */
import { bindCall, errnoName, lastErrno } from '@plinth/host-os';

/** linux/prctl.h, linux/seccomp.h */
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;

/** @returns why not; undefined: it can */
export function filterProblem(): string | undefined {
  const prctl = bindCall(
    'int prctl(int option, unsigned long mode, uint64_t program, uint64_t none, uint64_t nothing)',
  );
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0);
  const answer = errnoName(lastErrno());
  return answer === 'EFAULT' ? undefined : `this kernel can not filter system calls (${answer})`;
}
