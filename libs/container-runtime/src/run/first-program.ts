import { readlinkSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '@plinth/host-os';
import { firstProcess } from '../kernel/runtime-state.js';
import type { RuntimeBinary } from './runtime-binary.js';
import type { RuntimePaths } from './runtime-paths.js';

/** A runtime's last step takes microseconds of computing; a loaded machine may not give them for this long, ms. */
const PATIENCE_MS = 5_000;

/**
 * Waits until a container's first process executes its own program. Before, it is the runtime's: it has given up its
 * rights already, and the kernel lets nobody join the namespaces of such a process (ptrace(2), "dumpable"), so that
 * a command that is run then fails with `setns: Operation not permitted`.
 */
export async function firstProgramBegun(binary: RuntimeBinary, paths: RuntimePaths, id: string): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; isStillRuntime(binary, paths, id) && performance.now() < end;)
    await delay(1);
}

function isStillRuntime(binary: RuntimeBinary, paths: RuntimePaths, id: string): boolean {
  const pid = firstProcess(paths.runtimeRoot, id)?.pid;
  if (pid === undefined) return false;
  const program = `/proc/${pid}/exe`;
  try {
    const ours = statSync(binary.path);
    const its = statSync(program);
    // Runtimes execute a copy of themselves where they can't protect the file.
    return (ours.dev === its.dev && ours.ino === its.ino) || readlinkSync(program).startsWith(`/memfd:${binary.name}_`);
  } catch (error) {
    // It has ended, or may not be looked at: the runtime finds either.
    if (hasCode(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}
