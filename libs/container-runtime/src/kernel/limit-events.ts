/**
 * How often the kernel has held a container to its limits since its cgroup was made.
 *
 * Depends on: `oom_kill` in memory.oom_control (version 1) and memory.events (version 2), `max` in pids.events, and
 * cpu.stat, as cgroups(7) and the kernel's documentation describe them. Seen with Linux 6.18, version 1.
 * Noticed by: the limits.int-spec.ts of the host agent; limit-files.spec.ts.
 * Instead: a file or line that is missing counts as never.
 */
import { readFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import { cgroupFile, cgroupVersion } from './cgroup-tree.js';
import { type CpuThrottling, EVENT_FILES, type LimitEvents, limitEventsIn, throttlingIn } from './limit-files.js';

/** Two files are read, in this thread. @param group see cgroupPath */
export function limitEvents(group: string): LimitEvents {
  const version = cgroupVersion();
  const text = (controller: keyof typeof EVENT_FILES): string =>
    readOrEmpty(cgroupFile(version, controller, group, EVENT_FILES[controller][version]));
  return limitEventsIn({ memory: text('memory'), pids: text('pids') });
}

export function cpuThrottling(group: string): CpuThrottling {
  const version = cgroupVersion();
  return throttlingIn(version, readOrEmpty(cgroupFile(version, 'cpu', group, 'cpu.stat')));
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // The container has ended, or the kernel lacks the controller.
    if (hasCode(error, 'ENOENT', 'ENODEV')) return '';
    throw error;
  }
}
