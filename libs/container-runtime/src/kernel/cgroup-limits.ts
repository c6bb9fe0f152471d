/**
 * Changes the limits of a container that runs.
 *
 * Depends on: the files of limit-files.ts. Version 1 refuses a memory limit below what is used and can't be given back
 * (EBUSY); version 2 would kill for it, so what is used is read before. Seen with Linux 6.18, version 1.
 * Noticed by: the limits.int-spec.ts of the host agent; limit-files.spec.ts.
 * Instead: a limit that can't be written is reported as one that the next start sets.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hasCode } from '@plinth/host-os';
import type { ResourceLimits } from '../spec/container-spec.js';
import { cgroupFile, cgroupVersion } from './cgroup-tree.js';
import { type ChangedLimit, type Disk, limitFiles } from './limit-files.js';
import { readText } from './partial-file.js';

/** A limit that could not be changed while the container runs, and why. */
export interface UnchangedLimit {
  readonly limit: ChangedLimit;
  readonly message: string;
}

/**
 * Sets all of them, also again. @param group see cgroupPath
 * @param disks of which a limit is taken away where none is asked for
 * @param ofOne see sharesOfProcessor
 */
export function changeCgroupLimits(
  group: string,
  limits: ResourceLimits,
  disks: readonly Disk[],
  ofOne: number,
): UnchangedLimit[] {
  const version = cgroupVersion();
  const at = (controller: string, file: string): string => cgroupFile(version, controller, group, file);
  const settings = limitFiles(limits, {
    version,
    ofOne,
    disks,
    memoryBytes: Number(readText(at('memory', 'memory.limit_in_bytes')) ?? 0),
    has: (controller, file) => existsSync(at(controller, file)),
  });
  const failed = new Map<ChangedLimit, UnchangedLimit>();
  for (const { limit, controller, file, text } of settings) {
    const problem =
      version === 2 && limit === 'memory' ? memoryProblem((name) => at('memory', name), Number(text)) : undefined;
    const message = problem ?? write(at(controller, file), text);
    if (message !== undefined && !failed.has(limit)) failed.set(limit, { limit, message });
  }
  return [...failed.values()];
}

function write(path: string, text: string): string | undefined {
  try {
    writeFileSync(path, text);
    return undefined;
  } catch (error) {
    if (hasCode(error, 'EBUSY')) return 'it uses more than that now';
    if (!(error instanceof Error && 'code' in error)) throw error;
    return `the kernel does not change it: ${error.message}`;
  }
}

/** Version 2: what can be given back is, and a limit below what is left would kill. */
function memoryProblem(at: (file: string) => string, limit: number): string | undefined {
  const used = (): number => Number(readFileSync(at('memory.current'), 'utf8'));
  try {
    const excess = used() - limit;
    if (excess > 0 && existsSync(at('memory.reclaim'))) write(at('memory.reclaim'), String(excess));
    return used() > limit ? 'it uses more than that now' : undefined;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV')) return undefined;
    throw error;
  }
}
