import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasCode } from '@plinth/host-os';
import { DEFAULT_PATH } from '../spec/container-spec.js';

/**
 * Where one runtime instance keeps its things. Two instances never share a directory: the one below /run is named by a
 * digest of the state directory.
 */
export interface RuntimePaths {
  /** OCI bundles, one directory per container. */
  readonly bundles: string;
  /** conmon's exit files: the exit code as text, named by container id. */
  readonly exits: string;
  readonly logs: string;
  /** The runtime's own state (`--root`); gone after a reboot, as the containers are. */
  readonly runtimeRoot: string;
  /** conmon's sockets. A unix socket's path has at most 107 bytes, so it is short and not below the state directory. */
  readonly sockets: string;
  /** Mount point of the views; see idmapped-views.ts. */
  readonly views: string;
  /** Where a runtime protects its own program file at each call; what a killed one leaves is deleted at the next start. */
  readonly programCopies: string;
}

/** Distinguishes the instances of one machine in names below /run and of cgroups. */
export function instanceName(stateDirectory: string): string {
  return createHash('sha256').update(stateDirectory).digest('hex').slice(0, 12);
}

export function runtimePaths(stateDirectory: string): RuntimePaths {
  const short = instanceName(stateDirectory);
  return {
    bundles: `${stateDirectory}/bundles`,
    exits: `${stateDirectory}/exits`,
    logs: `${stateDirectory}/logs`,
    runtimeRoot: `/run/plinth/${short}/r`,
    sockets: `/run/plinth/${short}/s`,
    views: `/run/plinth/${short}/v`,
    programCopies: `/run/plinth/${short}/c`,
  };
}

/**
 * Makes the directories, readable by root only: configs hold environments, logs hold what tenants print. The root of a
 * container with users of its own walks to its views as any other user would.
 */
export function makeRuntimeDirectories(paths: RuntimePaths): void {
  for (const path of Object.values(paths) as string[]) mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const path of [dirname(dirname(paths.views)), dirname(paths.views), paths.views]) chmodSync(path, 0o711);
  removeStrayProgramCopies(paths);
}

/** Environment of the runtime and of conmon, which hands it on: nothing of the service's. */
export function runtimeEnvironment(paths: RuntimePaths): Record<string, string> {
  // crun mounts its program file read-only over an empty file there for a moment; without the variable, in /tmp.
  return { PATH: DEFAULT_PATH, _LIBCONTAINER_STATEDIR: paths.programCopies };
}

function removeStrayProgramCopies(paths: RuntimePaths): void {
  for (const name of readdirSync(paths.programCopies))
    try {
      rmSync(join(paths.programCopies, name), { force: true });
    } catch (error) {
      // A runtime that a killed agent has begun is at work: it deletes the file itself.
      if (!hasCode(error, 'EBUSY')) throw error;
    }
}
