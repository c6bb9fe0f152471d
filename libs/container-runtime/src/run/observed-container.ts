import { existsSync, readdirSync, statSync } from 'node:fs';
import { readLabels } from './bundle.js';
import { firstProcess, isWaiting } from '../kernel/runtime-state.js';
import { readText } from '../kernel/partial-file.js';
import { cgroupProcesses } from '../kernel/cgroups.js';
import { conmonPidFile } from './conmon.js';
import { isRunning, processArguments, processStartTime } from '../kernel/process-table.js';
import type { RuntimePaths } from './runtime-paths.js';

/** What is really there of one container, from the runtime's state, cgroups, /proc and conmon's exit file. */
export interface ObservedContainer {
  readonly id: string;
  /**
   * `created`: its first process waits to be started (the starter died between). `stopped`: it ran and ended.
   * `partial`: remains of a start or a removal that was cut off; only delete() helps.
   */
  readonly state: 'created' | 'running' | 'stopped' | 'partial';
  /** Host pid of the first process, while it lives. */
  readonly pid?: number;
  /** Clock ticks after boot; with the pid it names one process for ever. */
  readonly pidStartTime?: number;
  /** False: conmon is gone, the exit code of a running container will never be known. */
  readonly monitored: boolean;
  readonly exit?: ExitStatus;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ExitStatus {
  /** 0..255; 128 + n when signal n ended it. */
  readonly code: number;
  /** ISO 8601, UTC. */
  readonly exitedAt: string;
}

const ID = /^[0-9a-f]{32}$/;

/** Ids that have a bundle, runtime state, or an exit status. */
export function knownIds(paths: RuntimePaths): readonly string[] {
  const names = [paths.bundles, paths.runtimeRoot, paths.exits].flatMap((path) =>
    existsSync(path) ? readdirSync(path) : [],
  );
  return [...new Set(names)].filter((name) => ID.test(name)).sort();
}

/** Looks at one container; undefined when nothing of it is there. Reads a few small files, starts no process. */
export function observeContainer(paths: RuntimePaths, cgroup: string, id: string): ObservedContainer | undefined {
  const first = firstProcess(paths.runtimeRoot, id);
  const monitored = conmonPid(paths, id) !== undefined;
  const labels = readLabels(`${paths.bundles}/${id}`);
  const exit = readExit(paths, id);
  const rest = { id, monitored, ...(labels !== undefined && { labels }) };
  if (first !== undefined && isRunning(first)) {
    const waiting = isWaiting(paths.runtimeRoot, id);
    return { ...rest, state: waiting ? 'created' : 'running', pid: first.pid, pidStartTime: first.startTime };
  }
  if (first !== undefined || exit !== undefined)
    return { ...rest, state: 'stopped', ...(exit !== undefined && { exit }) };
  const traces =
    [`${paths.bundles}/${id}`, `${paths.runtimeRoot}/${id}`].some(existsSync) || cgroupProcesses(cgroup).length > 0;
  return traces ? { ...rest, state: 'partial' } : undefined;
}

/** The living conmon of a container, distinguished from a later process with its pid by its arguments. */
export function conmonPid(paths: RuntimePaths, id: string): number | undefined {
  const pid = Number(readText(conmonPidFile(paths, id)) ?? Number.NaN);
  if (!Number.isInteger(pid) || processStartTime(pid) === undefined) return undefined;
  return processArguments(pid)?.includes(id) === true ? pid : undefined;
}

/** conmon's exit file; written by rename, so it is whole or absent. */
export function readExit(paths: RuntimePaths, id: string): ExitStatus | undefined {
  const text = readText(`${paths.exits}/${id}`);
  if (text === undefined) return undefined;
  const stat = statSync(`${paths.exits}/${id}`, { throwIfNoEntry: false });
  return { code: Number(text), exitedAt: (stat?.mtime ?? new Date(0)).toISOString() };
}
