/** The file systems of one machine, as mount(8) reads them from a table: pure. */
import { join } from 'node:path';

/** Directories of a machine on its disk, which outlives its power cuts. */
export const DISK_PARTS = ['upper', 'work', 'root', 'data'] as const;
/** Where the machine sees the part of its disk that is on no overlay: views by owner and links need that. */
export const DATA = '/var/lib/plinth';
/** Inside the machine's new root: where the old one is for a moment. */
export const OLD_ROOT = '.old-root';

export interface MachineRoot {
  /** A file system that nothing else is on. */
  readonly disk: string;
  /** Names below /sys/fs/cgroup. */
  readonly hierarchies: readonly string[];
  /** Directories of this machine that a lab machine sees, read-only; for what is not on its root file system. */
  readonly shares: readonly string[];
}

/**
 * The root is this machine's, with what a lab machine writes on its own disk. Nothing else is shared but /dev: processes,
 * memory, temporary files and cgroups are its own.
 */
export function mountTable({ disk, hierarchies, shares }: MachineRoot): string {
  const root = join(disk, 'root');
  const cgroups = join(root, 'sys/fs/cgroup');
  const line = (source: string, target: string, type: string, options: string): string =>
    `${source} ${target} ${type} ${options}`;
  return [
    line('overlay', root, 'overlay', `lowerdir=/,upperdir=${join(disk, 'upper')},workdir=${join(disk, 'work')}`),
    line('proc', join(root, 'proc'), 'proc', 'nosuid,nodev,noexec'),
    line('/dev', join(root, 'dev'), 'none', 'rbind'),
    line('tmpfs', join(root, 'dev/shm'), 'tmpfs', 'nosuid,nodev'),
    line('sysfs', join(root, 'sys'), 'sysfs', 'nosuid,nodev,noexec'),
    line('tmpfs', cgroups, 'tmpfs', 'mode=755'),
    ...hierarchies.map((name) =>
      line(
        'cgroup',
        join(cgroups, name),
        'cgroup',
        `${name === 'systemd' ? 'none,name=systemd' : name},X-mount.mkdir=755`,
      ),
    ),
    line('tmpfs', join(root, 'run'), 'tmpfs', 'mode=755'),
    line('tmpfs', join(root, 'tmp'), 'tmpfs', 'mode=1777'),
    line(join(disk, 'data'), join(root, DATA), 'none', 'bind,X-mount.mkdir=755'),
    ...shares.map((path) => line(path, join(root, path), 'none', 'bind,ro,X-mount.mkdir=755')),
    '',
  ].join('\n');
}
