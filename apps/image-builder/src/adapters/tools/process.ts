/** Runs programs that must not outlive this process, with a bounded tail of their output. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface RunOptions {
  /** The whole environment beside {@link BASE_ENVIRONMENT}; nothing of this process's own gets through. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends the program and all it started; the run then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Each line of standard error, and of standard output when it is not redirected. */
  readonly onLine?: (line: string) => void;
  readonly stdout?: Writable;
  readonly stdin?: Readable | Iterable<string | Uint8Array>;
}

export interface RunResult {
  /** 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  /** The last lines that `onLine` received. */
  readonly tail: string;
}

export const BASE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
};

/**
 * Precedes an argv so that nothing of it is left when this process dies, in any way: the kernel kills `unshare` with
 * its parent, `unshare` its child, and with that child, the first of its process namespace, everything in there. Mounts
 * end with their namespace.
 */
const CAPTIVE: readonly string[] = [
  'setpriv',
  '--pdeathsig',
  'KILL',
  'unshare',
  '--mount',
  '--propagation',
  'private',
  '--ipc',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
];

/** {@link run} in namespaces that end with this process. */
export function runCaptive(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  return run([...CAPTIVE, ...argv], options);
}

/** @throws the system's error when the program can't be started */
export async function run(argv: readonly string[], options: RunOptions): Promise<RunResult> {
  options.signal.throwIfAborted();
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, {
    cwd: options.cwd ?? '/',
    env: { ...BASE_ENVIRONMENT, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  options.signal.addEventListener('abort', kill, { once: true });
  const tail = new Tail();
  const onLine = (line: string): void => {
    tail.add(line);
    options.onLine?.(line);
  };
  try {
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const [[code, signal]] = await Promise.all([
      closed,
      eachLine(child.stderr, onLine),
      options.stdout ? pipeline(child.stdout, options.stdout) : eachLine(child.stdout, onLine),
      feed(child.stdin, options.stdin ?? []),
    ]);
    options.signal.throwIfAborted();
    return { exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0), tail: tail.text };
  } catch (error) {
    kill();
    options.signal.throwIfAborted();
    throw error;
  } finally {
    options.signal.removeEventListener('abort', kill);
  }
}

/** A program that closes its input early is judged by its exit status, not by our broken pipe. */
async function feed(stdin: Writable, source: Readable | Iterable<string | Uint8Array>): Promise<void> {
  try {
    await pipeline(source, stdin);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPIPE' && code !== 'ECONNRESET' && code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

const MAX_LINE = 4_096;

/** Lines may be endless: what is longer than {@link MAX_LINE} is cut. */
async function eachLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  stream.setEncoding('utf8');
  let rest = '';
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split(/\r?\n|\r/);
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) onLine(line.slice(0, MAX_LINE));
  }
  if (rest !== '') onLine(rest);
}

const TAIL_CHARACTERS = 12_000;

/** The last lines of a text that may be endless. */
export class Tail {
  text = '';

  add(line: string): void {
    this.text += `${line}\n`;
    if (this.text.length <= TAIL_CHARACTERS * 2) return;
    this.text = this.text.slice(-TAIL_CHARACTERS);
    this.text = this.text.slice(this.text.indexOf('\n') + 1);
  }
}
