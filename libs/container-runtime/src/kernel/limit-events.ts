/**
 * How often the kernel has held a container to its limits since its cgroup was made.
 *
 * Depends on: `oom_kill` in memory.oom_control (version 1) and memory.events (version 2), `max` in pids.events, and
 * cpu.stat, as cgroups(7) and the kernel's documentation describe them. Seen with Linux 6.18.
 * Noticed by: the limits.int-spec.ts of the host agent.
 * Instead: a file or line that is missing counts as never.
 */
import { readFileSync, statfsSync } from 'node:fs';

const ROOT = '/sys/fs/cgroup';
/** statfs(2) f_type of cgroup2 (linux/magic.h). */
const CGROUP2_MAGIC = 0x6367_7270;

export interface LimitEvents {
  /** Processes that were killed because the memory limit was reached. */
  readonly memoryKills: number;
  /** Processes and threads that were refused because there were as many as the limit allows. */
  readonly refusedForks: number;
}

export interface CpuThrottling {
  /** Periods of 100 ms in which it had to wait for the next one. */
  readonly periods: number;
  readonly waitedMs: number;
}

const isUnified = statfsSync(ROOT).type === CGROUP2_MAGIC;

const fileOf = (group: string, controller: string, name: string): string =>
  isUnified ? `${ROOT}${group}/${name}` : `${ROOT}/${controller}${group}/${name}`;

/** Two files are read, in this thread. @param group see cgroupPath */
export function limitEvents(group: string): LimitEvents {
  const memory = isUnified ? 'memory.events' : 'memory.oom_control';
  return {
    memoryKills: counted(fileOf(group, 'memory', memory), 'oom_kill'),
    refusedForks: counted(fileOf(group, 'pids', 'pids.events'), 'max'),
  };
}

export function cpuThrottling(group: string): CpuThrottling {
  const file = fileOf(group, 'cpu', 'cpu.stat');
  return {
    periods: counted(file, 'nr_throttled'),
    waitedMs: isUnified ? counted(file, 'throttled_usec') / 1_000 : counted(file, 'throttled_time') / 1_000_000,
  };
}

function counted(file: string, key: string): number {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // The container has ended, or the kernel lacks the controller.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return 0;
    throw error;
  }
  for (const line of text.split('\n')) if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
  return 0;
}
