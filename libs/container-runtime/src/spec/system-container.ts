/**
 * Containers whose first process is an init such as systemd: what it needs beside the rest, seen with systemd 252. Pure.
 */
import { createHash } from 'node:crypto';
import { isSystemInit } from '@plinth/contracts';
import type { ContainerSpec } from './container-spec.js';
import type { PlannedMount } from './planned-mounts.js';

const LOCK_BYTES = 5 * 1024 ** 2;
const LOCK_INODES = 1024;

/** Where systemd looks for its cgroup. */
export const CGROUP_MOUNT = '/sys/fs/cgroup';

/**
 * It manages a part of the cgroup tree: only with users of its own, because the host's root could change its own limits
 * there.
 */
export function isSystemContainer(spec: Pick<ContainerSpec, 'users' | 'command' | 'writableRoot'>): boolean {
  return spec.users === 'own' && spec.writableRoot !== true && isSystemInit(spec.command);
}

/** Without it systemd ends at once. */
export function cgroupMount(): PlannedMount {
  return {
    destination: CGROUP_MOUNT,
    type: 'cgroup',
    source: 'cgroup',
    options: ['rw', 'nosuid', 'nodev', 'noexec', 'relatime'],
    describe: "the container's own cgroup, for its init",
  };
}

/** systemd may not mount it itself. */
export function lockMount(): PlannedMount {
  return {
    destination: '/run/lock',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', 'noexec', 'mode=1777', `size=${LOCK_BYTES}`, `nr_inodes=${LOCK_INODES}`],
    describe: 'lock files',
  };
}

/**
 * machine-id(5): the same in every run of a container, on every host; the container's own id, which others know, does
 * not follow from it.
 */
export function machineId(containerId: string): string {
  return createHash('sha256').update(`machine-id ${containerId}`).digest('hex').slice(0, 32);
}
