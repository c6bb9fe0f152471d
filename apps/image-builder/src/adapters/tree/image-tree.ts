/**
 * Reads and writes inside an image's tree the way a process with that root would see it: symlinks are followed inside
 * the tree and never out of it. Safe only while nothing else changes the tree, which is so between the steps of a
 * build.
 */
import { constants, type Stats } from 'node:fs';
import { chmod, lchown, lstat, mkdir, open, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '@plinth/host-os';
import { BuildRefusal } from '../../domain/build-refusal.js';

/** As many as the kernel follows (path_resolution(7)). */
const MAX_SYMLINKS = 40;

/** Whether an error means that a path does not exist, or leads through a file. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'ENOTDIR');
}

export class ImageTree {
  /** @param root on the host */
  constructor(readonly root: string) {}

  /**
   * The path on the host that a path in the image means; its last component is followed as well.
   * Components that don't exist are taken as they are.
   */
  async resolve(path: string): Promise<string> {
    const todo = path.split('/');
    const done: string[] = [];
    let followed = 0;
    for (let name = todo.shift(); name !== undefined; name = todo.shift()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        done.pop();
        continue;
      }
      const target = await this.linkTarget(join(this.root, ...done, name));
      if (target === undefined) {
        done.push(name);
        continue;
      }
      if (++followed > MAX_SYMLINKS)
        throw new BuildRefusal('unsafe-tree', `${path} leads through more than ${MAX_SYMLINKS} symbolic links`);
      if (target.startsWith('/')) done.length = 0;
      todo.unshift(...target.split('/'));
    }
    return join(this.root, ...done);
  }

  private async linkTarget(hostPath: string): Promise<string | undefined> {
    try {
      return (await lstat(hostPath)).isSymbolicLink() ? await readlink(hostPath) : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** @returns undefined when there is no file at this path */
  async read(path: string): Promise<string | undefined> {
    const hostPath = await this.resolve(path);
    try {
      return (await lstat(hostPath)).isFile() ? await readFile(hostPath, 'utf8') : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  isFile(path: string): Promise<boolean> {
    return this.file(path, (found) => found.isFile());
  }

  isExecutable(path: string): Promise<boolean> {
    return this.file(path, (found) => found.isFile() && (found.mode & 0o111) !== 0);
  }

  private async file(path: string, is: (found: Stats) => boolean): Promise<boolean> {
    try {
      return is(await lstat(await this.resolve(path)));
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** Replaces the file; directories on the way are made. */
  async write(path: string, content: Uint8Array | string, mode: number, owner = { uid: 0, gid: 0 }): Promise<void> {
    const hostPath = await this.resolve(path);
    await this.makeDirectories(hostPath.slice(0, hostPath.lastIndexOf('/')));
    await rm(hostPath, { force: true }).catch((error: unknown) => {
      throw new BuildRefusal('invalid-recipe', `${path} is a directory in the image; a file can't take its place`, {
        cause: error,
      });
    });
    const file = await open(
      hostPath,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      await file.writeFile(content);
      await file.chown(owner.uid, owner.gid);
      // After chown, which clears set-id bits.
      await file.chmod(mode);
    } finally {
      await file.close();
    }
  }

  /** Makes a symlink at the path itself, in place of any file there. */
  async link(target: string, path: string): Promise<void> {
    const slash = path.lastIndexOf('/');
    const parent = await this.resolve(path.slice(0, slash));
    await this.makeDirectories(parent);
    const hostPath = join(parent, path.slice(slash + 1));
    await rm(hostPath, { force: true });
    await symlink(target, hostPath);
  }

  /** Makes the directory with its parents where it is missing; one that is there keeps its mode. */
  async directory(path: string, mode = 0o755): Promise<void> {
    await this.makeDirectories(await this.resolve(path), mode);
  }

  private async makeDirectories(hostPath: string, mode = 0o755): Promise<void> {
    const missing: string[] = [];
    for (let at = hostPath; at.length > this.root.length; at = at.slice(0, at.lastIndexOf('/'))) {
      const found = await lstat(at).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (found?.isDirectory()) break;
      if (found)
        throw new BuildRefusal('invalid-recipe', `${at.slice(this.root.length)} is not a directory in the image`);
      missing.unshift(at);
    }
    for (const at of missing) {
      await mkdir(at);
      await lchown(at, 0, 0);
      await chmod(at, at === hostPath ? mode : 0o755);
    }
  }

  /** Removes the path itself; a symlink is not followed at its end. Missing is fine. */
  async remove(path: string): Promise<void> {
    const slash = path.lastIndexOf('/');
    const parent = await this.resolve(path.slice(0, slash));
    await rm(join(parent, path.slice(slash + 1)), { recursive: true, force: true });
  }

  /** Numeric owner; names are looked up in the image's own passwd and group. */
  async owner(user: string, group: string): Promise<{ uid: number; gid: number }> {
    return { uid: await this.idOf('/etc/passwd', user), gid: await this.idOf('/etc/group', group) };
  }

  private async idOf(database: string, name: string): Promise<number> {
    if (/^\d+$/.test(name)) return Number(name);
    const line = (await this.read(database))?.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
    const id = Number(line?.split(':')[2]);
    if (line === undefined || !Number.isSafeInteger(id) || id < 0) {
      if (name === 'root') return 0;
      throw new BuildRefusal(
        'invalid-recipe',
        `the image's ${database} has no entry ${name}, the owner of a file of the recipe`,
      );
    }
    return id;
  }
}
