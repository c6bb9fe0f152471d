import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { readConfig } from './bundle.js';
import { readText } from '../kernel/partial-file.js';
import { checkedUser, type OciProcess } from '../spec/oci-config.js';
import { processTree, sendSignal } from '../kernel/process-table.js';
import { firstProgramBegun } from './first-program.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { runtimeEnvironment, type RuntimePaths } from './runtime-paths.js';

export interface ExecOptions {
  /** Variables on top of the container's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Numeric; the container's own when absent. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Absolute path in the container; the container's own when absent. */
  readonly cwd?: string;
  readonly stdin?: string | Buffer;
  readonly onStdout?: (chunk: Buffer) => void;
  readonly onStderr?: (chunk: Buffer) => void;
  /** The command is killed after that many ms. */
  readonly timeoutMs?: number;
  /** Aborting kills the command. */
  readonly signal?: AbortSignal;
}

export type ExecResult =
  | {
      readonly ok: true;
      /** 0..255; 128 + n when signal n ended it; 127 or 126 when it could not be run. */ readonly exitCode: number;
    }
  | { readonly ok: false; readonly reason: 'not-running' | 'timeout' | 'aborted'; readonly message: string };

/** How long output is still read after the command ended while something of it holds the pipes, ms. */
const PIPE_GRACE_MS = 200;

/**
 * Runs a command in a running container with its filter, capabilities and limits. argv, variables and user go to the
 * runtime in a file (mode 0600), so secrets never show in a process list.
 * @throws RangeError for a user that a container can't have
 */
export async function execInContainer(
  binary: RuntimeBinary,
  paths: RuntimePaths,
  id: string,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  await firstProgramBegun(binary, paths, id);
  const container = readConfig(`${paths.bundles}/${id}`)?.process;
  if (container === undefined) return { ok: false, reason: 'not-running', message: `container ${id} has no bundle` };
  if (options.signal?.aborted === true) return { ok: false, reason: 'aborted', message: 'aborted before it was run' };
  const directory = mkdtempSync(`${paths.bundles}/${id}/exec-`);
  try {
    writeFileSync(`${directory}/process.json`, JSON.stringify(execProcess(container, argv, options)), { mode: 0o600 });
    return await run(binary, paths, id, directory, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * The container's first process with another command. Pure.
 * @throws RangeError for a user that a container can't have
 */
export function execProcess(
  container: OciProcess,
  argv: readonly string[],
  options: Pick<ExecOptions, 'env' | 'user' | 'cwd'>,
): OciProcess {
  const variables = new Map(container.env.map((line) => [line.slice(0, line.indexOf('=')), line]));
  for (const [name, value] of Object.entries(options.env ?? {})) variables.set(name, `${name}=${value}`);
  return {
    ...container,
    args: argv,
    env: [...variables.values()],
    cwd: options.cwd ?? container.cwd,
    user: options.user === undefined ? container.user : checkedUser(options.user),
  };
}

async function run(
  binary: RuntimeBinary,
  paths: RuntimePaths,
  id: string,
  directory: string,
  options: ExecOptions,
): Promise<ExecResult> {
  const pidFile = `${directory}/pid`;
  const argv = [
    '--root',
    paths.runtimeRoot,
    'exec',
    '--process',
    `${directory}/process.json`,
    '--pid-file',
    pidFile,
    id,
  ];
  const child = spawn(binary.path, argv, { cwd: '/', env: runtimeEnvironment(paths), stdio: ['pipe', 'pipe', 'pipe'] });
  return new Promise<ExecResult>((resolve, reject) => {
    let stopped: 'timeout' | 'aborted' | undefined;
    let killing: NodeJS.Timeout | undefined;
    const stop = (why: 'timeout' | 'aborted'): void => {
      if (stopped !== undefined) return;
      stopped = why;
      // Repeated until the command has ended: the pid file may not be written yet.
      killing = setInterval(() => killCommand(pidFile), 5);
      killCommand(pidFile);
    };
    const onAbort = (): void => stop('aborted');
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => stop('timeout'), options.timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      clearInterval(killing);
      options.signal?.removeEventListener('abort', onAbort);
      settle();
    };
    child.stdout.on('data', (chunk: Buffer) => options.onStdout?.(chunk));
    child.stderr.on('data', (chunk: Buffer) => options.onStderr?.(chunk));
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      // A command may end without reading its input.
      if (!['EPIPE', 'ECONNRESET'].includes(error.code ?? '')) finish(() => reject(error));
    });
    child.stdin.end(options.stdin);
    child.once('error', (error) => finish(() => reject(error)));
    // A background process of the command may hold the pipes open for ever: after its exit they get a short grace.
    child.once('exit', () => {
      const grace = setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream.destroy()), PIPE_GRACE_MS);
      child.once('close', () => clearTimeout(grace));
    });
    child.once('close', (code, signal) => {
      const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      if (stopped === 'timeout')
        finish(() => resolve({ ok: false, reason: 'timeout', message: `killed after ${options.timeoutMs} ms` }));
      else if (stopped === 'aborted')
        finish(() => resolve({ ok: false, reason: 'aborted', message: 'killed on request' }));
      else finish(() => resolve({ ok: true, exitCode }));
    });
  });
}

/** Kills the command and what it started; killing the runtime's own process would only orphan it. */
function killCommand(pidFile: string): void {
  const pid = Number(readText(pidFile) || Number.NaN);
  if (Number.isInteger(pid) && pid > 1) for (const each of processTree(pid)) sendSignal(each, 'SIGKILL');
}
