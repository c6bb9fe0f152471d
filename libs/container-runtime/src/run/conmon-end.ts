/** The monitor of a container, from its first process's start to its own end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { OutlivingGroup } from '../kernel/outliving-group.js';
import { isRunning, parentOf, processArguments, processStartTime, sendSignal } from '../kernel/process-table.js';
import { conmonPid } from './observed-container.js';
import type { RuntimePaths } from './runtime-paths.js';

const GRACE_MS = 2000;

/**
 * Into the group of what outlives this process. One that was killed can't be taken.
 * @param pid of the first process, whose parent the monitor is
 */
export async function takeMonitor(monitors: OutlivingGroup, id: string, pid: number): Promise<void> {
  const monitor = parentOf(pid);
  if (monitor !== undefined && processArguments(monitor)?.includes(id) === true) await monitors.take(monitor);
}

/** conmon ends by itself once its container has; it is killed when it does not. */
export async function conmonEnded(paths: RuntimePaths, id: string): Promise<void> {
  const pid = conmonPid(paths, id);
  const startTime = pid === undefined ? undefined : processStartTime(pid);
  if (pid === undefined || startTime === undefined) return;
  const end = performance.now() + GRACE_MS;
  while (isRunning({ pid, startTime })) {
    if (performance.now() > end) sendSignal(pid, 'SIGKILL');
    await delay(1);
  }
}
