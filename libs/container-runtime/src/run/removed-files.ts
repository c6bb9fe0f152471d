/** What a container that has ended has on disk. */
import { rmSync } from 'node:fs';
import { logFile } from './conmon.js';
import type { RuntimePaths } from './runtime-paths.js';

export function removeFiles(paths: RuntimePaths, id: string, keepLog: boolean): void {
  const { bundles, exits, runtimeRoot, sockets } = paths;
  const rests = [`${runtimeRoot}/${id}`, `${sockets}/${id}`, `${exits}/${id}`];
  if (!keepLog) rests.push(logFile(paths, id));
  // The bundle is the last: by it a removal that is cut off is found.
  for (const path of [...rests, `${bundles}/${id}`]) rmSync(path, { recursive: true, force: true });
}
