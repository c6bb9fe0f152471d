/**
 * Depends on: the files of limit-files.ts. Seen with Linux 6.18.
 * Noticed by: oci-runtime.int-spec.ts, "has the processor by its limit, beside the host's services, and no swap".
 * Instead: nothing where the kernel counts no swap; a controller that is missing is refused before (held-limits.ts).
 */
import { writeFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import type { ResourceLimits } from '../spec/container-spec.js';
import { cgroupFile, cgroupVersion, type CgroupVersion } from './cgroup-tree.js';
import { type LimitFile, swapLimit, weightLimit } from './limit-files.js';

/**
 * What the runtime leaves to the kernel's defaults, or sets otherwise, once a container's cgroup is there.
 * - Its weight with version 2, on the scale of the host's services.
 * - It may not swap: that would be read back over the disk of its neighbours.
 * @param group see cgroupPath
 * @param ofOne see sharesOfProcessor
 */
export function limitShare(group: string, { cpus, memoryBytes }: ResourceLimits, ofOne: number): void {
  const version = cgroupVersion();
  if (version === 2 && cpus !== undefined) writeLimit(version, group, weightLimit(cpus, ofOne));
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
