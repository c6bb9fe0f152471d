/**
 * Network namespaces of containers as files that outlive their processes and the agent: plugins undo their work in a
 * namespace that is still there. They are mounts on the host, in `/run/plinth/cni/<agent>`.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inHostMountNamespace } from '@plinth/container-runtime';
import { hasCode } from '@plinth/host-os';

const DIRECTORY = '/run/plinth/cni';
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
/** mountpoint(1), umount(8): it is none. */
const NO_MOUNT = 32;

/** It could not be made, looked at or removed. */
export class NamespaceFileError extends Error {
  override readonly name = 'NamespaceFileError';
}

export class PinnedNamespaces {
  private readonly directory: string;

  /** @param instance distinguishes the agents of one machine */
  constructor(instance: string) {
    this.directory = join(DIRECTORY, instance);
  }

  pathOf(containerId: string): string {
    return join(this.directory, containerId);
  }

  /** @param pid of a process in it @throws when the process is gone, or is in the host's own network */
  async pin(containerId: string, pid: number): Promise<void> {
    const source = `/proc/${pid}/ns/net`;
    if (statSync(source).ino === statSync('/proc/self/ns/net').ino)
      throw new NamespaceFileError(`process ${pid} is in the network of the host`);
    const path = this.pathOf(containerId);
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    writeFileSync(path, '', { mode: 0o600 });
    await run([0], 'mount', '--no-canonicalize', '--bind', source, path);
  }

  async isPinned(containerId: string): Promise<boolean> {
    // 1: there is no such file.
    return (await run([0, 1, NO_MOUNT], 'mountpoint', '--quiet', this.pathOf(containerId))) === 0;
  }

  /** Also when it is not there. */
  async release(containerId: string): Promise<void> {
    const path = this.pathOf(containerId);
    await run([0, NO_MOUNT], 'umount', '--lazy', '--no-canonicalize', path);
    // Over there, too: this process's namespace may have begun with a copy of the mount, which ends with the file.
    await run([0], 'rm', '--force', '--', path);
    this.removeDirectories();
  }

  private removeDirectories(): void {
    try {
      if (readdirSync(this.directory).length > 0) return;
      for (const path of [this.directory, dirname(this.directory)]) rmdirSync(path);
    } catch (error) {
      // Another agent has its own there, or a start has just begun.
      if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
    }
  }
}

/** @returns its exit code, which is one of those that were expected */
async function run(expected: readonly number[], ...argv: readonly string[]): Promise<number> {
  const [file = '', ...args] = [...inHostMountNamespace(), ...argv];
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: ENVIRONMENT, cwd: '/' }, (error, _stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      if (expected.includes(code)) resolve(code);
      else reject(new NamespaceFileError(`${argv.join(' ')}: ${stderr.trim() || String(error)}`, { cause: error }));
    });
  });
}
