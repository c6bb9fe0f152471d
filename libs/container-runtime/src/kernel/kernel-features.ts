/**
 * What every container needs of the kernel, tried: an agent does not start where one of it is missing. What only some
 * containers need is tried where it belongs: users of their own (own-users-check.ts), limits (held-limits.ts,
 * io-controls.ts), networks (`@plinth/host-network`), limits of disks (`@plinth/host-os`).
 *
 * Depends on: the errors of clone(2), mount(2) and prctl(2); that a child which clone(2) made can end in any namespaces;
 * crun, which starts a container without a cgroup namespace where it gets none, and with version 1 looks for the
 * hierarchy cpuset. Seen with Linux 6.18 and crun 1.8.1.
 * Noticed by: kernel-features.int-spec.ts, which refuses the calls one by one; `doctor`.
 * Instead: nothing.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bindCall, lastErrno, SystemCallError } from '@plinth/host-os';
import { CGROUPS, cgroupHierarchies, cgroupVersion } from './cgroup-tree.js';
import { filterProblem } from './filter-support.js';
import { isInPrivateMountNamespace } from './private-mount-namespace.js';
import { tryNamespace } from './user-namespace.js';

export interface KernelFeature {
  /** e.g. `overlayfs` */
  readonly name: string;
  /** Why it can't be used; undefined: it can. */
  readonly problem: string | undefined;
  /** What to do about that. */
  readonly todo: string;
}

/** sched.h, and what the kernel was built with. */
const NAMESPACES = [
  ['pid', 0x2000_0000, 'CONFIG_PID_NS'],
  ['ipc', 0x0800_0000, 'CONFIG_IPC_NS'],
  ['uts', 0x0400_0000, 'CONFIG_UTS_NS'],
  ['cgroup', 0x0200_0000, 'CONFIG_CGROUPS, Linux 4.6'],
  ['network', 0x4000_0000, 'CONFIG_NET_NS'],
] as const;
/** sys/mount.h */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const SIZE = 'size=64k,nr_inodes=16,mode=700';

/**
 * Takes some milliseconds, and leaves nothing. In a private mount namespace only.
 * @throws Error when this process is not in one
 */
export function kernelFeatures(): readonly KernelFeature[] {
  if (!isInPrivateMountNamespace()) throw new Error('call enterPrivateMountNamespace() first');
  return [
    {
      name: 'system call filters',
      problem: filterProblem(),
      todo: 'use a kernel with CONFIG_SECCOMP_FILTER; in a container, one whose own filter permits prctl and seccomp',
    },
    ...NAMESPACES.map(([kind, flag, option]) => ({
      name: `${kind} namespaces`,
      problem: problemIn(() => tryNamespace(flag)),
      todo: `use a kernel with ${option}, and look at user.max_${kind === 'network' ? 'net' : kind}_namespaces; in a container, a privileged one`,
    })),
    {
      name: 'cgroups',
      problem: cgroupProblem(),
      todo: 'mount each hierarchy of version 1 that /proc/self/cgroup lists below /sys/fs/cgroup, or use version 2 alone',
    },
    {
      name: 'overlayfs',
      problem: problemIn(tryOverlay),
      todo: 'modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS and CONFIG_TMPFS; in a container, a privileged one',
    },
  ];
}

/** Pure. Each with what needs it and what to do, for an operator. */
export function missingFeatures(features: readonly KernelFeature[]): string[] {
  return features.flatMap(({ name, problem, todo }) =>
    problem === undefined ? [] : [`every container needs ${name}, which can't be had here: ${problem}; ${todo}`],
  );
}

function problemIn(attempt: () => void): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return error.message;
    throw error;
  }
}

/**
 * Processes of a container are found by its cgroup. With version 1 runtimes also copy the cpuset of the group above:
 * they look for that wherever the kernel has it.
 */
function cgroupProblem(): string | undefined {
  if (cgroupVersion() === 2) return undefined;
  const mounted = cgroupHierarchies().filter((hierarchy) => existsSync(`${hierarchy}/cgroup.procs`));
  if (mounted.length === 0) return `no hierarchy is mounted below ${CGROUPS}`;
  const isCpusetActive = /^\d+:(?:.*,)?cpuset(?:,.*)?:/m.test(readFileSync('/proc/self/cgroup', 'utf8'));
  if (isCpusetActive && !existsSync(`${CGROUPS}/cpuset/cgroup.procs`))
    return `the hierarchy cpuset is active, and not mounted below ${CGROUPS}`;
  return undefined;
}

/** As a container has it over the image's directories: the upper layer in memory. */
function tryOverlay(): void {
  const mount = bindCall(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  const umount = bindCall('int umount2(const char *target, int flags)');
  const place = mkdtempSync(join(tmpdir(), 'plinth-overlay-'));
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  try {
    if (mount('plinth', place, 'tmpfs', flags, SIZE) !== 0)
      throw new SystemCallError('mount', lastErrno(), 'of a memory file system');
    try {
      for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(place, name));
      const layers = `lowerdir=${place}/lower,upperdir=${place}/upper,workdir=${place}/work`;
      if (mount('plinth', join(place, 'merged'), 'overlay', MS_NOSUID | MS_NODEV, layers) !== 0)
        throw new SystemCallError('mount', lastErrno(), 'of an overlay');
    } finally {
      // With the overlay on it.
      umount(place, MNT_DETACH);
    }
  } finally {
    rmdirSync(place);
  }
}
