/**
 * Depends on: the files that the runtime keeps below its `--root`: crun's `<id>/status` (`pid`, `process-start-time`),
 * runc's `<id>/state.json` (`init_process_pid`, `init_process_start`), and the pipe `exec.fifo` of both. Seen with
 * crun 1.8.1 and runc 1.1.5. Their command for it, `state`, costs a process for each call.
 * Noticed by: oci-runtime.int-spec.ts, with both runtimes: a start whose state cannot be read is a failed start.
 * Instead: nothing; a runtime that keeps its state otherwise needs its line here.
 */
import { existsSync } from 'node:fs';
import type { ProcessIdentity } from './process-table.js';
import { readJson } from './partial-file.js';

/** The first process as the runtime recorded it; undefined when there is no record, or not a whole one. */
export function firstProcess(runtimeRoot: string, id: string): ProcessIdentity | undefined {
  const crun = readJson(`${runtimeRoot}/${id}/status`) as { pid?: number; 'process-start-time'?: number } | undefined;
  if (crun?.pid !== undefined && crun['process-start-time'] !== undefined)
    return { pid: crun.pid, startTime: crun['process-start-time'] };
  const runc = readJson(`${runtimeRoot}/${id}/state.json`) as
    | { init_process_pid?: number; init_process_start?: number }
    | undefined;
  if (runc?.init_process_pid !== undefined && runc.init_process_start !== undefined)
    return { pid: runc.init_process_pid, startTime: runc.init_process_start };
  return undefined;
}

/** Whether the first process still waits to be let go: it is created and not started. */
export function isWaiting(runtimeRoot: string, id: string): boolean {
  return existsSync(`${runtimeRoot}/${id}/exec.fifo`);
}
