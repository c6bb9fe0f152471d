/** The runtime's directories outside of the state directory. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { OciRuntime } from '@plinth/container-runtime';

/** Called only when no container is left. */
export function removeRuntimeDirectories({ paths }: OciRuntime): void {
  const base = dirname(paths.sockets);
  rmSync(base, { recursive: true, force: true });
  removeEmpty(dirname(base));
  // The cgroups' parent is shared by all agents of a machine; the last one removes it.
  const root = '/sys/fs/cgroup';
  const hierarchies = existsSync(`${root}/cgroup.controllers`)
    ? [root]
    : readdirSync(root).map((name) => `${root}/${name}`);
  for (const hierarchy of hierarchies) removeEmpty(`${hierarchy}/plinth`);
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EBUSY', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
