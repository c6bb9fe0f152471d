import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cgroupLayout } from '../kernel/cgroup-tree.js';

/** The OCI runtime of this process. */
export interface RuntimeBinary {
  readonly name: 'crun' | 'runc';
  /** Absolute path. */
  readonly path: string;
  /** Why this one, for the log. */
  readonly reason: string;
}

export class RuntimeMissingError extends Error {
  override readonly name = 'RuntimeMissingError';
}

/**
 * crun where it works, because a start takes about half the time; else runc. Call it after
 * enterPrivateMountNamespace().
 * Throws RuntimeMissingError when neither can be used.
 */
export function detectRuntimeBinary(searchPath = process.env['PATH'] ?? ''): RuntimeBinary {
  const crun = findExecutable('crun', searchPath);
  const runc = findExecutable('runc', searchPath);
  const layout = cgroupLayout();
  if (crun !== undefined && layout !== 'hybrid') {
    return { name: 'crun', path: crun, reason: `crun is installed and cgroups are ${layout} for this process` };
  }
  if (runc !== undefined) {
    const why =
      crun === undefined
        ? 'crun is not installed'
        : 'crun refuses hybrid cgroups and the second hierarchy is not hidden';
    return { name: 'runc', path: runc, reason: `${why}; runc is slower` };
  }
  throw new RuntimeMissingError(
    crun === undefined
      ? 'neither crun nor runc is on the PATH'
      : 'crun refuses hybrid cgroups, and runc is not on the PATH',
  );
}

/** The first executable of that name on a search path. */
export function findExecutable(name: string, searchPath: string): string | undefined {
  for (const directory of searchPath.split(delimiter).filter((part) => part.startsWith('/'))) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch (error) {
      if (!['ENOENT', 'EACCES', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return undefined;
}

/** Its path. @throws RuntimeMissingError */
export function findConmon(): string {
  const found = findExecutable('conmon', `${process.env['PATH'] ?? ''}:/usr/bin:/usr/libexec/podman:/usr/lib/podman`);
  if (found === undefined) throw new RuntimeMissingError('conmon is not on the PATH');
  return found;
}
