/** The runtime's directories outside of the state directory. */
import { rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from '@plinth/host-os';
import { formerParents } from '../kernel/container-group.js';
import { ID_RANGES_DIRECTORY } from './id-ranges.js';
import type { RuntimePaths } from './runtime-paths.js';

/** Called only when no container is left. */
export function removeRuntimeDirectories(paths: RuntimePaths): void {
  const base = dirname(paths.sockets);
  for (const path of [paths.sockets, paths.runtimeRoot, paths.programCopies])
    rmSync(path, { recursive: true, force: true });
  // Never what is in it: views show data volumes.
  removeEmpty(paths.views);
  removeEmpty(base);
  removeEmpty(ID_RANGES_DIRECTORY);
  removeEmpty(dirname(base));
  // Shared by all agents of a machine; the last one removes it.
  for (const parent of formerParents()) removeEmpty(parent);
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTEMPTY', 'EBUSY', 'ENOTDIR')) throw error;
  }
}
