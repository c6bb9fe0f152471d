/** Whether containers can have users of their own here, tried as the host agent tries it. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { detectRuntimeBinary, MountNamespaceError, RuntimeMissingError, tryOwnUsers } from '@plinth/container-runtime';
import { type Check, fail, ok, warn } from './check.js';
import { enterPrivateNamespaceOnce } from './kernel.js';

const NAME = 'user namespaces';
const TODO =
  "install crun, use Linux 6.6 or later, keep storage on ext4, xfs or btrfs; or set PLINTH_USER_NAMESPACES=preferred at the host agent: containers then have the host's users";

/**
 * The last check: this process's thread, and what it starts, is in a mount namespace of its own afterwards.
 * @param home where images and volumes are kept; need not exist yet
 */
export async function checkUserNamespaces(home: string, environment: NodeJS.ProcessEnv): Promise<Check> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return warn(NAME, 'not tried', 'run it as root');
  try {
    await enterPrivateNamespaceOnce();
    const problem = tryOwnUsers(detectRuntimeBinary(), storageOf(home, environment));
    if (problem === undefined) return ok(NAME, 'each container can have users of its own');
    return environment['PLINTH_USER_NAMESPACES'] === 'preferred' || environment['PLINTH_USER_NAMESPACES'] === 'off'
      ? warn(NAME, problem, TODO)
      : fail(NAME, problem, TODO);
  } catch (error) {
    if (error instanceof MountNamespaceError || error instanceof RuntimeMissingError)
      return fail(NAME, error.message, 'see the other checks');
    throw error;
  }
}

/** Those of PLINTH_STORAGE_MOUNTS, and where a stack of this machine keeps its own. */
export function storageOf(home: string, environment: NodeJS.ProcessEnv): readonly string[] {
  let nearest = home;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  const mounts = (environment['PLINTH_STORAGE_MOUNTS'] ?? '')
    .split(',')
    .map((part) => part.slice(part.indexOf('=') + 1));
  return [nearest, ...mounts.map((path) => path.trim()).filter((path) => path !== '' && existsSync(path))];
}
