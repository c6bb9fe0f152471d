/**
 * Commands that a host runs in a container by itself, and often; and the removal of what a host agent that died has
 * left of them.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { cgroupProcesses } from '../kernel/cgroups.js';
import { endOf, lightCommand } from '../kernel/light-spawn.js';
import { findProcesses, processTree, sendSignal } from '../kernel/process-table.js';
import { readJson, readText } from '../kernel/partial-file.js';
import type { OciProcess } from '../spec/oci-config.js';
import { readConfig } from './bundle.js';
import { execProcess } from './container-exec.js';
import { conmonPidFile } from './conmon.js';
import { firstProgramBegun } from './first-program.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { runtimeEnvironment, type RuntimePaths } from './runtime-paths.js';

export type CheckResult = {
  /** Standard output and standard error, the end of it. */
  readonly output: string;
} & (
  | {
      readonly ok: true;
      /** 0..255; 128 + n when signal n ended it; 127 or 126 when it could not be run. */
      readonly exitCode: number;
    }
  | { readonly ok: false; readonly reason: 'not-running' | 'timeout' | 'aborted' }
);

/** Variable of the command by which everything that it has started is found, wherever it has put itself. */
const MARK = 'PLINTH_COMMAND';
/** Followed by a name of the object's own: the last run of a container may still be ended when the next one has begun. */
const DIRECTORY = 'exec-check-';
const MAX_OUTPUT_BYTES = 4_000;
/** How long output is still read after the command ended while something of it holds the pipe, ms. */
const PIPE_GRACE_MS = 100;
/** Between two attempts to kill: the runtime may not have started the command yet. */
const KILL_AGAIN_MS = 10;
/** After this the runtime itself is killed too, ms. */
const RUNTIME_GRACE_MS = 5_000;
const ROUNDS = 500;

/**
 * One command of one container. Costs a third of `execInContainer`: this process is not copied to start it, the files
 * are written in place, and there is no standard input. It runs with the container's filter, capabilities and limits,
 * as `execInContainer` does. Runs of one object must not overlap.
 */
export class ContainerCheck {
  private readonly directory: string;
  private process: OciProcess | undefined;

  constructor(
    private readonly binary: RuntimeBinary,
    private readonly paths: RuntimePaths,
    private readonly id: string,
    private readonly cgroup: string,
    private readonly argv: readonly string[],
  ) {
    this.directory = `${paths.bundles}/${id}/${DIRECTORY}${randomBytes(4).toString('hex')}`;
  }

  /**
   * When it does not end in time, or is aborted, it is killed with everything that it has started.
   * @throws SpawnError
   */
  async run(timeoutMs: number, signal: AbortSignal): Promise<CheckResult> {
    const mark = randomBytes(8).toString('hex');
    await firstProgramBegun(this.binary, this.paths, this.id);
    if (signal.aborted) return { ok: false, reason: 'aborted', output: '' };
    if (!this.prepare(mark)) return { ok: false, reason: 'not-running', output: '' };
    const [processFile, pidFile] = [`${this.directory}/process.json`, `${this.directory}/pid`];
    const argv = ['--root', this.paths.runtimeRoot, 'exec', '--process', processFile, '--pid-file', pidFile, this.id];
    const child = lightCommand({ file: this.binary.path, argv, env: runtimeEnvironment(this.paths) });
    const [output, life] = [child.output, child.life].map(
      (fd) => new Socket({ fd, readable: true, writable: false }),
    ) as [Socket, Socket];
    let stopped: 'timeout' | 'aborted' | undefined;
    let killing: NodeJS.Timeout | undefined;
    const text = keepEnd(output);
    const [lifeEnded, outputEnded] = [ended(life), ended(output)];
    const began = performance.now();
    const stop = (why: 'timeout' | 'aborted'): void => {
      if (stopped !== undefined) return;
      stopped = why;
      const kill = (): void => {
        killMarked(this.paths, this.id, this.cgroup, mark, readPid(pidFile));
        if (performance.now() - began > timeoutMs + RUNTIME_GRACE_MS) sendSignal(child.pid, 'SIGKILL');
      };
      killing = setInterval(kill, KILL_AGAIN_MS);
      kill();
    };
    const onAbort = (): void => stop('aborted');
    signal.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => stop('timeout'), timeoutMs);
    try {
      await lifeEnded;
      const exitCode = await reap(child.pid);
      clearInterval(killing);
      if (stopped !== undefined) await killRest(this.paths, this.id, this.cgroup, mark);
      // Something that the command has left may hold the pipe.
      const grace = setTimeout(() => output.destroy(), PIPE_GRACE_MS);
      await outputEnded.finally(() => clearTimeout(grace));
      return stopped === undefined
        ? { ok: true, exitCode, output: text() }
        : { ok: false, reason: stopped, output: text() };
    } finally {
      clearTimeout(timer);
      clearInterval(killing);
      signal.removeEventListener('abort', onAbort);
      for (const stream of [output, life]) stream.destroy();
      // Their absence shows that nothing was interrupted.
      for (const file of [processFile, pidFile]) rmSync(file, { force: true });
    }
  }

  private prepare(mark: string): boolean {
    const process = (this.process ??= readConfig(`${this.paths.bundles}/${this.id}`)?.process);
    if (process === undefined) return false;
    try {
      const text = JSON.stringify(execProcess(process, this.argv, { env: { [MARK]: mark } }));
      if (!existsSync(this.directory)) mkdirSync(this.directory, { mode: 0o700 });
      writeFileSync(`${this.directory}/process.json`, text, { mode: 0o600 });
      return true;
    } catch (error) {
      // The container was deleted meanwhile.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }
}

/**
 * What a process that died was running in a container is killed, with everything that it has started, and its files are
 * removed. A command that has cleared its environment and put itself under the container's first process is the
 * container's own from then on.
 */
export async function endInterruptedCommands(paths: RuntimePaths, id: string, cgroup: string): Promise<void> {
  const bundle = `${paths.bundles}/${id}`;
  for (const name of existsSync(bundle) ? readdirSync(bundle) : []) {
    if (!name.startsWith('exec-')) continue;
    const directory = `${bundle}/${name}`;
    const processFile = `${directory}/process.json`;
    if (existsSync(processFile)) {
      // A runtime that has not started the command yet would start it later.
      for (const pid of findProcesses(['crun', 'runc'], processFile)) sendSignal(pid, 'SIGKILL');
      const process = readJson(processFile) as Partial<OciProcess> | undefined;
      const mark = process?.env?.find((line) => line.startsWith(`${MARK}=`))?.slice(MARK.length + 1);
      const first = readPid(`${directory}/pid`);
      if (first !== undefined && readEnvironment(`/proc/${first}/cgroup`).includes(cgroup))
        for (const pid of processTree(first)) sendSignal(pid, 'SIGKILL');
      if (mark !== undefined) await killRest(paths, id, cgroup, mark);
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Repeats until none is left that can be found. */
async function killRest(paths: RuntimePaths, id: string, cgroup: string, mark: string): Promise<void> {
  for (let round = 0; round < ROUNDS && killMarked(paths, id, cgroup, mark, undefined) > 0; round += 1)
    await delay(KILL_AGAIN_MS);
}

/** @param first the command's own process, when it is known @returns how many were found */
function killMarked(paths: RuntimePaths, id: string, cgroup: string, mark: string, first: number | undefined): number {
  const monitor = Number(readText(conmonPidFile(paths, id)) || Number.NaN);
  const tree = first === undefined ? [] : processTree(first);
  // Version 1 may serve an old list: a process that has put itself under the container's first process is looked for
  // there.
  const others = new Set([...cgroupProcesses(cgroup), ...(Number.isInteger(monitor) ? processTree(monitor) : [])]);
  const marked = [...others].filter(
    (pid) => !tree.includes(pid) && readEnvironment(`/proc/${pid}/environ`).includes(`${MARK}=${mark}`),
  );
  for (const pid of [...tree, ...marked]) sendSignal(pid, 'SIGKILL');
  return tree.length + marked.length;
}

function readPid(path: string): number | undefined {
  const pid = Number(readText(path) || Number.NaN);
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/** Empty when the process is gone, or is its remains. */
function readEnvironment(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

/** The end of what a stream has returned so far. */
function keepEnd(stream: Socket): () => string {
  let kept = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-MAX_OUTPUT_BYTES);
  });
  return () => kept.toString('utf8');
}

/** An error of a pipe is its end, too. */
function ended(stream: Socket): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', () => resolve());
    stream.on('error', () => undefined);
    stream.resume();
  });
}

/** Waits for a process: its descriptors are closed a moment before it can be reaped. */
async function reap(pid: number): Promise<number> {
  for (let wait = 1; ; wait = Math.min(2 * wait, 50)) {
    const code = endOf(pid);
    if (code !== undefined) return code;
    await delay(wait);
  }
}
