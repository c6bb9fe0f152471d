/** Runs one program with a time limit and a bounded output; what it has started ends with it. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '@plinth/host-os';

export interface PluginRun {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
  /** How it ended when it is not ok, in words; empty: by an exit code, so that its output says why. */
  readonly end: string;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
  readonly timeoutMs: number;
}

const MAX_OUTPUT_BYTES = 256 * 1024;
/** After SIGKILL; a process that is in the kernel for longer can't be waited for. */
const END_PATIENCE_MS = 2_000;

/** @param argv the program and its arguments */
export async function runPlugin(argv: readonly string[], { env, input, timeoutMs }: RunOptions): Promise<PluginRun> {
  const [file = '', ...args] = argv;
  // A process group of its own, so that what it has started can be ended with it.
  const child = spawn(file, args, { env, cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let end = '';
  const endAll = (why: string): void => {
    end ||= why;
    killGroup(child.pid);
  };
  const timer = setTimeout(() => endAll(`it did not end within ${timeoutMs / 1000} s`), timeoutMs);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  for (const [stream, chunks] of [
    [child.stdout, stdout],
    [child.stderr, stderr],
  ] as const) {
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) endAll(`it printed more than ${MAX_OUTPUT_BYTES} bytes`);
      else chunks.push(chunk);
    });
  }
  // A program that ends without having read its input: how it ended says more.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      end ||= `it could not be started: ${error.message}`;
      resolve(null);
    });
    // Not `close`: what it has left running may hold the pipes open.
    child.once('exit', (exitCode, signal) => {
      if (signal !== null) end ||= `it was ended by ${signal}`;
      resolve(exitCode);
    });
  });
  clearTimeout(timer);
  await drained(child.stdout, child.stderr);
  if (end !== '') await groupEnd(child.pid);
  const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString('utf8');
  return { ok: code === 0 && end === '', stdout: text(stdout), stderr: text(stderr), end };
}

/** What was printed before the end is in the pipes; a process that was left behind may hold them open. */
async function drained(...streams: readonly Readable[]): Promise<void> {
  const open = streams.filter(({ closed }) => !closed);
  const patience = new AbortController();
  await Promise.race([
    Promise.all(open.map((stream) => new Promise((resolve) => stream.once('close', resolve)))),
    delay(END_PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined),
  ]);
  patience.abort();
  for (const stream of streams) stream.destroy();
}

async function groupEnd(pid: number | undefined): Promise<void> {
  for (const until = performance.now() + END_PATIENCE_MS; performance.now() < until && killGroup(pid);) await delay(5);
}

/** @returns whether any process was there */
function killGroup(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(-pid, 'SIGKILL');
    return true;
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
    throw error;
  }
}
