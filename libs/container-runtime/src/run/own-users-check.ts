/** Whether containers can have users of their own on this machine: tried, not looked up. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setAttribute, SystemCallError } from '@plinth/host-os';
import { IdmappedViews } from '../kernel/idmapped-views.js';
import { closeUserNamespace, openUserNamespace } from '../kernel/user-namespace.js';
import { RANGE_SIZE } from '../spec/oci-config.js';
import type { RuntimeBinary } from './runtime-binary.js';

export const RUNC_PROBLEM = 'runc 1.1 can run no command in a container with users of its own; install crun';
/** It starts commands in the directory of the image, which is a view that is not there any more. */
export const RUNC_SCRIPT_PROBLEM =
  'runc 1.1 can run no command in a container with a custom mount script; install crun';
/** Not the name of a container. */
const CHECK = 'check';
const PROBE = { name: 'attribute', content: Buffer.alloc(0) };
/** Any would do: no process gets it. */
const FIRST_ID = 524_288;

/**
 * Costs about a millisecond; leaves nothing.
 * @param directory one that views are to be made of; absent: what does not depend on any
 * @returns why it can't be done; undefined: it can
 */
export function ownUsersProblem(
  { name }: Pick<RuntimeBinary, 'name'>,
  views: IdmappedViews,
  directory: string | undefined,
): string | undefined {
  if (name === 'runc') return RUNC_PROBLEM;
  try {
    const namespace = openUserNamespace(FIRST_ID, RANGE_SIZE);
    try {
      const shown = directory === undefined ? [] : [{ name: 'root', source: directory, readOnly: true, inert: true }];
      views.make(CHECK, { namespace, firstId: FIRST_ID }, shown, [PROBE]);
      setAttribute(views.pathOf(CHECK, PROBE.name), 'user.plinth', Buffer.from('1'));
      return undefined;
    } finally {
      closeUserNamespace(namespace);
      views.remove(CHECK);
    }
  } catch (error) {
    if (error instanceof SystemCallError) return explain(error);
    throw error;
  }
}

/**
 * The same for a program that runs no containers; enterPrivateMountNamespace() was called.
 * @returns the first problem
 */
export function tryOwnUsers(runtime: Pick<RuntimeBinary, 'name'>, directories: readonly string[]): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'plinth-views-'));
  const views = new IdmappedViews(place);
  try {
    return [undefined, ...directories]
      .map((directory) => ownUsersProblem(runtime, views, directory))
      .find((problem) => problem !== undefined);
  } finally {
    views.close();
    rmdirSync(place);
  }
}

/** With what can be done about it. */
function explain({ syscall, code, message }: SystemCallError): string {
  const todo = REMEDIES[`${syscall} ${code}`] ?? REMEDIES[syscall];
  return todo === undefined ? message : `${message}: ${todo}`;
}

const REMEDIES: Readonly<Record<string, string>> = {
  'clone ENOSPC': 'the kernel allows no more user namespaces (raise user.max_user_namespaces)',
  'clone EINVAL': 'the kernel has no user namespaces (use one with CONFIG_USER_NS)',
  clone: 'user namespaces may not be made here (the agent needs CAP_SYS_ADMIN; in a container, a privileged one)',
  'mount_setattr ENOSYS': 'the kernel has no idmapped mounts (Linux 5.12 has them)',
  mount_setattr: 'its file system has no idmapped mounts (ext4, xfs, btrfs and squashfs have them, NFS has not)',
  open_tree: 'views need the mount calls of Linux 5.2; in a container, a filter of system calls that permits them',
  move_mount: 'views need the mount calls of Linux 5.2; in a container, a filter of system calls that permits them',
  lsetxattr:
    'memory file systems have no user attributes, which overlays need (Linux 6.6 has them, with CONFIG_TMPFS_XATTR)',
};
