/**
 * Depends on: cpu.shares and memory.memsw.limit_in_bytes (version 1), cpu.weight and memory.swap.max (version 2), as the
 * kernel's documentation describes them. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, "has the processor by its limit, and no swap".
 * Instead: nothing where the kernel lacks a controller or counts no swap.
 */
import { statfsSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { hasCode } from '@plinth/host-os';
import type { ResourceLimits } from '../spec/container-spec.js';

const ROOT = '/sys/fs/cgroup';
/** statfs(2) f_type of cgroup2 (linux/magic.h). */
const CGROUP2_MAGIC = 0x6367_7270;
/** Of the cgroup that all containers of the machine are in, see cgroupPath. */
const CONTAINERS = '/plinth';
/** What one process of the host, or one of its services, counts; the kernel's defaults and maxima. */
const SHARES = { each: 1_024, most: 262_144 };
const WEIGHT = { each: 100, most: 10_000 };

let isWeighed = false;

/**
 * What the runtime leaves to the kernel's defaults, once a container's cgroup is there.
 * - All containers together count as much as one busy service of the host on each processor, as Kubernetes has it: by
 *   default they count as one together. Set once in the life of this process.
 * - None may swap: it would be read back over the disk of its neighbours.
 * @param group see cgroupPath
 */
export function limitShare(group: string, { memoryBytes }: Pick<ResourceLimits, 'memoryBytes'>): void {
  const cpus = availableParallelism();
  const unified = statfsSync(ROOT).type === CGROUP2_MAGIC;
  isWeighed ||= unified
    ? write(`${ROOT}${CONTAINERS}/cpu.weight`, Math.min(cpus * WEIGHT.each, WEIGHT.most))
    : write(`${ROOT}/cpu${CONTAINERS}/cpu.shares`, Math.min(cpus * SHARES.each, SHARES.most));
  if (memoryBytes === undefined) return;
  if (unified) write(`${ROOT}${group}/memory.swap.max`, 0);
  else write(`${ROOT}/memory${group}/memory.memsw.limit_in_bytes`, memoryBytes);
}

/** @returns false when there is no such file */
function write(file: string, value: number): boolean {
  try {
    writeFileSync(file, String(value), { flag: 'r+' });
    return true;
  } catch (error) {
    // ENODEV: the cgroup is being removed.
    if (hasCode(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
}
