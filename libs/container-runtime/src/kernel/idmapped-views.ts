/**
 * Depends on: idmapped mounts, mount_setattr(2), of file systems that the kernel allows them on (ext4, xfs, btrfs,
 * erofs, squashfs, tmpfs and others; not NFS); that an overlay, and a bind mount made in another mount namespace, keep
 * what they were made of after its mount is gone; glibc 2.36, which has open_tree and move_mount. Seen with Linux 6.18.
 * Noticed by: idmapped-views.int-spec.ts; oci-runtime.int-spec.ts, "has users of its own".
 * Instead: containers with the host's users, where the agent's policy allows it.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { bindCall, type BoundCall, errnoName, lastErrno, SystemCallError } from '@plinth/host-os';
import { isInPrivateMountNamespace, isPrivateForAllThreads } from './private-mount-namespace.js';

/** sys/mount.h, linux/mount.h, fcntl.h */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MS_PRIVATE = 1 << 18;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NOSUID = 2;
const MOUNT_ATTR_NODEV = 4;
const MOUNT_ATTR_IDMAP = 0x10_0000;
const MOUNT_ATTR_BYTES = 32;

/** One directory of the host as the users of a container see it. */
export interface View {
  /** Name below the container's own directory, e.g. `root` or `layer/etc`. */
  readonly name: string;
  /** Host path of a directory. */
  readonly source: string;
  readonly readOnly: boolean;
  /** Devices and set-user-id bits mean nothing in it. */
  readonly inert: boolean;
  /** Set-user-id bits have a meaning in it, also when they have none where it is mounted on the host. */
  readonly setUserIds?: boolean;
  /** With what is mounted below it. */
  readonly recursive?: boolean;
}

export interface ViewUsers {
  /** Descriptor of a user namespace. */
  readonly namespace: number;
  readonly firstId: number;
}

/** What a container's mounts need beside views: a copy of a small file, or a link that the host's root follows. */
export type ViewFile =
  | { readonly name: string; readonly content: Uint8Array }
  | { readonly name: string; readonly target: string };

let bound:
  | Readonly<Record<'openTree' | 'setAttributes' | 'move' | 'mount' | 'umount' | 'close', BoundCall>>
  | undefined;

function calls(): NonNullable<typeof bound> {
  return (bound ??= {
    openTree: bindCall('int open_tree(int directory, const char *path, unsigned int flags)'),
    setAttributes: bindCall(
      'int mount_setattr(int directory, const char *path, unsigned int flags, void *attributes, size_t size)',
    ),
    move: bindCall('int move_mount(int from, const char *path, int to, const char *target, unsigned int flags)'),
    mount: bindCall(
      'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
    ),
    umount: bindCall('int umount2(const char *target, int flags)'),
    close: bindCall('int close(int fd)'),
  });
}

/**
 * Idmapped mounts of host directories, in a memory file system that only this process's mount namespace has: the host's
 * mount table does not change, and everything is gone with the last process of the namespace. A container's mounts are
 * made of its views, which are removed when they are.
 */
export class IdmappedViews {
  /** Removals in other threads, by container. */
  private readonly leaving = new Map<string, Promise<void>>();

  /** @param directory an existing directory, to which every user may walk */
  constructor(private readonly directory: string) {}

  /** Where a view of a container will be. */
  pathOf(id: string, name: string): string {
    return `${this.directory}/${id}/${name}`;
  }

  /**
   * Makes all views of a container, or none. Synchronous: the mount namespace is that of this thread.
   * @param users the namespace whose ids stand for those on disk, and the host's id of its root: no other container may
   * walk to these views; `host`: owners are shown as they are
   * @param sealed nothing can be written beside the views, and what they show has no more rights than they have
   * @throws SystemCallError e.g. EINVAL: the file system can't be idmapped
   */
  make(
    id: string,
    users: ViewUsers | 'host',
    views: readonly View[],
    files: readonly ViewFile[] = [],
    sealed = false,
  ): void {
    this.open();
    const home = `${this.directory}/${id}`;
    try {
      mkdirSync(home);
      chownSync(home, 0, users === 'host' ? 0 : users.firstId);
      chmodSync(home, 0o710);
      this.bindToItself(home);
      for (const view of views) this.makeOne(this.pathOf(id, view.name), view, users);
      for (const file of files) {
        const path = this.pathOf(id, file.name);
        this.makeParents(path);
        if ('target' in file) symlinkSync(file.target, path);
        else {
          writeFileSync(path, file.content);
          chmodSync(path, 0o755);
        }
      }
      if (sealed) this.seal(home);
    } catch (error) {
      this.remove(id);
      throw error;
    }
  }

  /**
   * Removes a container's views; nothing when there are none. Never follows into what a view shows: a directory that is
   * still a mount point can't be removed.
   */
  remove(id: string): void {
    const home = `${this.directory}/${id}`;
    if (statSync(home, { throwIfNoEntry: false }) === undefined) return;
    // All views at once: the kernel waits after each removal. EINVAL: there is no mount, the views were not finished.
    if (calls().umount(home, MNT_DETACH | UMOUNT_NOFOLLOW) !== 0 && errnoName(lastErrno()) !== 'EINVAL')
      throw new SystemCallError('umount2', lastErrno(), home);
    this.removeBelow(home, statSync(this.directory).dev);
  }

  /**
   * As {@link remove}, without waiting for the kernel: in a thread of the pool, where all threads see the views. What
   * fails is tried again by {@link remove}; call it only after {@link removed}.
   */
  removeLater(id: string): void {
    const home = `${this.directory}/${id}`;
    if (statSync(home, { throwIfNoEntry: false }) === undefined) return;
    if (!isPrivateForAllThreads()) return this.remove(id);
    const unmounted = new Promise<void>((resolve) => {
      calls().umount.async(home, MNT_DETACH | UMOUNT_NOFOLLOW, () => resolve());
    });
    const removal = unmounted
      .then(() => this.remove(id))
      .catch(() => undefined)
      .finally(() => this.leaving.delete(id));
    this.leaving.set(id, removal);
  }

  /** Resolves when no other thread removes the container's views. */
  async removed(id: string): Promise<void> {
    await this.leaving.get(id);
  }

  /** Removes the memory file system, unless there is none; no start is under way. */
  close(): void {
    if (this.isOpen() && calls().umount(this.directory, MNT_DETACH | UMOUNT_NOFOLLOW) !== 0)
      throw new SystemCallError('umount2', lastErrno(), this.directory);
  }

  /** A mount of its own, which takes the views below it along when it is removed. */
  private bindToItself(home: string): void {
    const c = calls();
    if (c.mount(home, home, null, MS_BIND, null) !== 0 || c.mount('none', home, null, MS_PRIVATE, null) !== 0)
      throw new SystemCallError('mount', lastErrno(), home);
  }

  private seal(home: string): void {
    const flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (calls().mount('none', home, null, flags, null) !== 0) throw new SystemCallError('mount', lastErrno(), home);
  }

  private makeOne(target: string, view: View, users: ViewUsers | 'host'): void {
    const c = calls();
    this.makeParents(target);
    mkdirSync(target);
    const recursive = view.recursive === true ? AT_RECURSIVE : 0;
    const tree = c.openTree(AT_FDCWD, view.source, OPEN_TREE_CLONE | O_CLOEXEC | AT_SYMLINK_NOFOLLOW | recursive);
    if (tree < 0) throw new SystemCallError('open_tree', lastErrno(), view.source);
    try {
      const attributes = Buffer.alloc(MOUNT_ATTR_BYTES);
      const set =
        (users === 'host' ? 0 : MOUNT_ATTR_IDMAP) |
        (view.readOnly ? MOUNT_ATTR_RDONLY : 0) |
        (view.inert ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV : 0);
      attributes.writeBigUInt64LE(BigInt(set), 0);
      if (view.setUserIds === true) attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_NOSUID), 8);
      attributes.writeBigUInt64LE(BigInt(MS_PRIVATE), 16);
      if (users !== 'host') attributes.writeBigUInt64LE(BigInt(users.namespace), 24);
      if (c.setAttributes(tree, '', AT_EMPTY_PATH | recursive, attributes, attributes.length) !== 0)
        throw new SystemCallError('mount_setattr', lastErrno(), `to map the owners of the files in ${view.source}`);
      if (c.move(tree, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) !== 0)
        throw new SystemCallError('move_mount', lastErrno(), target);
    } finally {
      c.close(tree);
    }
  }

  /** Who may walk to the container's directory may walk to the path, under any umask. */
  private makeParents(path: string): void {
    const parent = dirname(path);
    if (parent === this.directory) return;
    this.makeParents(parent);
    if (statSync(parent, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(parent);
    chmodSync(parent, 0o711);
  }

  /** @param device of the memory file system: what has another one is a view */
  private removeBelow(path: string, device: number): void {
    while (statSync(path).dev !== device) {
      if (calls().umount(path, MNT_DETACH | UMOUNT_NOFOLLOW) === 0) continue;
      throw new SystemCallError('umount2', lastErrno(), path);
    }
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) this.removeBelow(`${path}/${entry.name}`, device);
      else rmSync(`${path}/${entry.name}`);
    }
    rmdirSync(path);
  }

  private isOpen(): boolean {
    return statSync(this.directory).dev !== statSync(dirname(this.directory)).dev;
  }

  /** Mounts the memory file system, unless this process's namespace has it. */
  private open(): void {
    if (this.isOpen()) return;
    if (!isInPrivateMountNamespace())
      throw new Error('views are made in a private mount namespace only: call enterPrivateMountNamespace() first');
    const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (calls().mount('plinth', this.directory, 'tmpfs', flags, 'mode=711,size=16m') !== 0)
      throw new SystemCallError('mount', lastErrno(), this.directory);
    if (calls().mount('none', this.directory, null, MS_PRIVATE, null) !== 0)
      throw new SystemCallError('mount', lastErrno(), this.directory);
  }
}
