/**
 * Depends on: the files of limit-files.ts. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, "has the processor by its limit, and no swap".
 * Instead: nothing where the kernel counts no swap; a controller that is missing is refused before (held-limits.ts).
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { hasCode } from '@plinth/host-os';
import type { ResourceLimits } from '../spec/container-spec.js';
import { cgroupFile, cgroupVersion, CONTAINERS, type CgroupVersion } from './cgroup-tree.js';
import { type LimitFile, shareOfContainers, swapLimit } from './limit-files.js';

let isWeighed = false;

/**
 * What the runtime leaves to the kernel's defaults, once a container's cgroup is there.
 * - All containers together count as much as one busy service of the host on each processor, as Kubernetes has it: by
 *   default they count as one together. Set once in the life of this process.
 * - None may swap: it would be read back over the disk of its neighbours.
 * @param group see cgroupPath
 */
export function limitShare(group: string, { memoryBytes }: Pick<ResourceLimits, 'memoryBytes'>): void {
  const version = cgroupVersion();
  isWeighed ||= writeLimit(version, CONTAINERS, shareOfContainers(version, availableParallelism()));
  if (memoryBytes !== undefined) writeLimit(version, group, swapLimit(version, memoryBytes));
}

/** @returns false when there is no such file */
export function writeLimit(version: CgroupVersion, group: string, { controller, file, text }: LimitFile): boolean {
  try {
    writeFileSync(cgroupFile(version, controller, group, file), text, { flag: 'r+' });
    return true;
  } catch (error) {
    // ENODEV: the cgroup is being removed.
    if (hasCode(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
}
