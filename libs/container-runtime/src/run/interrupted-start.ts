/** What is left of a start that was cut off: conmon, the runtime, and the runtime's child that is not yet the container. */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCgroup } from '../kernel/cgroups.js';
import { findProcesses, processArguments, sendSignal } from '../kernel/process-table.js';
import { firstProcess } from '../kernel/runtime-state.js';
import { conmonPid } from './observed-container.js';
import type { RuntimePaths } from './runtime-paths.js';

/** A killed process ends when what it waits for in the kernel does: on a busy machine that may be a second. */
const DEADLINE_MS = 10_000;
const FIRST_ROUND_MS = 2;
/** Each round reads every process of the machine. */
const LONGEST_ROUND_MS = 50;

/** A container could not be removed: a process of it does not die (uninterruptible sleep), or a cgroup stays busy. */
export class ContainerStuckError extends Error {
  override readonly name = 'ContainerStuckError';
  constructor(
    readonly id: string,
    readonly pids: readonly number[],
  ) {
    super(`container ${id} cannot be removed; processes left: ${pids.join(', ') || 'none'}`);
  }
}

/**
 * Whether the rest of a start may still run. Finding it reads every process of the machine, so {@link endStart} must not
 * be called for each container that has ended. Where conmon has written an exit file, the runtime is done.
 * @param cgroup of the container
 */
export function mayBeStarting(paths: RuntimePaths, id: string, cgroup: string): boolean {
  // A start begins with its bundle, and what has neither that nor anything else was removed before.
  const traces = [`${paths.bundles}/${id}`, `${paths.runtimeRoot}/${id}`];
  if (!traces.some(existsSync) && !hasCgroup(cgroup)) return false;
  return firstProcess(paths.runtimeRoot, id) === undefined || conmonPid(paths, id) === undefined;
}

/** @throws ContainerStuckError */
export async function endStart(instance: string, id: string): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  for (let pauseMs = FIRST_ROUND_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_ROUND_MS)) {
    const starters = startersOf(instance, id);
    if (starters.length === 0) return;
    if (performance.now() > end) throw new ContainerStuckError(id, starters);
    for (const pid of starters) sendSignal(pid, 'SIGKILL');
    await delay(pauseMs);
  }
}

/** Those of this instance: their arguments have its directory below /run. */
function startersOf(instance: string, id: string): readonly number[] {
  return findProcesses(['conmon', 'crun', 'runc'], id).filter(
    (pid) => processArguments(pid)?.some((argument) => argument.includes(`/${instance}/`)) === true,
  );
}
