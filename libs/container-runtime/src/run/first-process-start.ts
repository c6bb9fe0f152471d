/** Lets the first process of a created container go: a byte to its pipe, or the runtime's own `start`. */
import { execFile } from 'node:child_process';
import { letGo } from '../kernel/exec-fifo.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { runtimeEnvironment, type RuntimePaths } from './runtime-paths.js';

/** @returns what the runtime printed when it could not; undefined: it runs. Rejects with the signal's reason. */
export async function startFirstProcess(
  binary: RuntimeBinary,
  paths: RuntimePaths,
  id: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (binary.name === 'crun' && letGo(paths.runtimeRoot, id)) return undefined;
  return new Promise((resolve, reject) => {
    const options = { cwd: '/', env: runtimeEnvironment(paths), signal, killSignal: 'SIGKILL' } as const;
    execFile(binary.path, ['--root', paths.runtimeRoot, 'start', id], options, (error, _stdout, stderr) => {
      if (error === null) resolve(undefined);
      else if (signal.aborted) reject(signal.reason as Error);
      else if (typeof error.code === 'number')
        resolve(stderr.trim() || `${binary.name} start exited with ${error.code}`);
      else reject(error);
    });
  });
}
