/**
 * Whether the kernel can filter system calls: no container is to run without its filter.
 *
 * Depends on: the line `Seccomp_filters` of proc_pid_status(5), which Linux has since 5.11 where it was built with
 * CONFIG_SECCOMP_FILTER. Seen with Linux 6.18.
 * Noticed by: the agent's start, `doctor`; filter-support.spec.ts, and each start of a container.
 * Instead: nothing.
 */
import { readFileSync } from 'node:fs';

/** @returns why not, in words with what to do; undefined: it can */
export function filterProblem(status = readFileSync('/proc/self/status', 'utf8')): string | undefined {
  if (/^Seccomp_filters:/m.test(status)) return undefined;
  return 'this kernel can not filter system calls, and no container runs without that: use one with CONFIG_SECCOMP_FILTER';
}
