/** Memory, processes and mounts of a container, from /proc and its cgroup. */
import { readFile } from 'node:fs/promises';
import { cgroupProcesses, cpuThrottling, limitEvents, type OciRuntime } from '@plinth/container-runtime';
import type { ContainerStats } from '@plinth/contracts';
import { type MemorySum, parseMountInfo, parseSmapsRollup } from '../domain/process-figures.js';

/** A process may end between any two reads; one that is gone counts as zero. */
const GONE = new Set(['ENOENT', 'ESRCH']);

export async function containerStats(
  runtime: OciRuntime,
  id: string,
  pid: number,
  diskBytes: number | undefined,
): Promise<ContainerStats> {
  const group = runtime.cgroupOf(id);
  const pids = cgroupProcesses(group);
  const sum: { -readonly [K in keyof MemorySum]: number } = { privateBytes: 0, sharedBytes: 0, proportionalBytes: 0 };
  for (const process of pids) {
    const one = parseSmapsRollup(await readOr(`/proc/${process}/smaps_rollup`, ''));
    sum.privateBytes += one.privateBytes;
    sum.sharedBytes += one.sharedBytes;
    sum.proportionalBytes += one.proportionalBytes;
  }
  const { periods, waitedMs } = cpuThrottling(group);
  return {
    containerId: id,
    pid,
    ...sum,
    cgroupBytes: await cgroupBytes(group),
    processes: pids.length,
    limits: { ...limitEvents(group), throttledPeriods: periods, throttledMs: waitedMs, diskBytes },
    mounts: parseMountInfo(await readOr(`/proc/${pid}/mountinfo`, '')),
  };
}

/** What a container's cgroup takes of memory: v2, else v1 (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst). */
export async function cgroupBytes(own: string): Promise<number> {
  const text =
    (await readOr(`/sys/fs/cgroup${own}/memory.current`, undefined)) ??
    (await readOr(`/sys/fs/cgroup/memory${own}/memory.usage_in_bytes`, '0'));
  return Number(text.trim());
}

async function readOr<T extends string | undefined>(path: string, absent: T): Promise<string | T> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (GONE.has((error as NodeJS.ErrnoException).code ?? '')) return absent;
    throw error;
  }
}
