/** The `zstd` program with a file as its dictionary (`--patch-from`, RFC 8878 frames). */
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import type { Readable } from 'node:stream';

export type Expansion = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** A window that covers a whole segment and its dictionary, as a power of two. */
const WINDOW = '--long=27';
/** Most that the program may take to unpack, dictionary included. */
const MEMORY = '--memory=256MB';
/**
 * A full segment takes 3 s of processor at level 12; at 19, a minute for a fifth less. A small one is worth it.
 */
const SMALL = { bytes: 4 * 1024 ** 2, level: 17 } as const;
const LEVEL = 12;

/** @param size bytes of `content`, and the level; absent: it follows from the bytes */
export async function compressAgainst(
  reference: string,
  content: string,
  target: string,
  size: { readonly bytes: number; readonly level?: number | undefined },
  signal: AbortSignal,
): Promise<void> {
  const level = size.level ?? (size.bytes <= SMALL.bytes ? SMALL.level : LEVEL);
  const argv = [`-${level}`, '--single-thread', WINDOW, ...(await dictionary(reference)), '-f', content, '-o', target];
  const { ended, pid } = start(argv, 'ignore', signal);
  // It is made ahead, and the machine has other work.
  if (pid !== undefined) lowerPriority(pid);
  const result = await ended;
  if (!result.ok) throw new Error(result.message);
}

/**
 * @param bytes exactly what it has to unpack to
 * @param write takes the bytes in order; it returns a problem to end it
 */
export async function expandAgainst(
  reference: string,
  file: string,
  bytes: number,
  write: (chunk: Buffer) => Promise<string | undefined>,
  signal: AbortSignal,
): Promise<Expansion> {
  const { output, ended, kill } = start(
    ['-dc', WINDOW, MEMORY, ...(await dictionary(reference)), file],
    'pipe',
    signal,
  );
  if (!output) throw new Error('zstd was started without a pipe');
  let problem: string | undefined;
  let total = 0;
  try {
    for await (const chunk of output) {
      total += (chunk as Buffer).length;
      problem =
        total > bytes ? `it unpacks to more than the ${bytes} bytes that it should` : await write(chunk as Buffer);
      if (problem !== undefined) break;
    }
  } finally {
    // Also when the caller's writing failed: no program outlives the call.
    if (problem !== undefined || !output.readableEnded) kill();
  }
  const result = await ended;
  if (problem !== undefined) return { ok: false, message: problem };
  if (!result.ok) return result;
  return total === bytes ? result : { ok: false, message: `it unpacks to ${total} bytes of ${bytes}` };
}

/** An empty dictionary is none: the program refuses it. */
async function dictionary(reference: string): Promise<readonly string[]> {
  const { size } = await stat(reference);
  return size === 0 ? [] : [`--patch-from=${reference}`];
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch (error) {
    // It has ended.
    if ((error as NodeJS.ErrnoException & { info?: { code?: string } }).info?.code !== 'ESRCH') throw error;
  }
}

function start(
  argv: readonly string[],
  stdout: 'pipe' | 'ignore',
  signal: AbortSignal,
): {
  readonly output: Readable | null;
  readonly ended: Promise<Expansion>;
  readonly pid: number | undefined;
  readonly kill: () => void;
} {
  const child = spawn('zstd', ['-q', ...argv], {
    stdio: ['ignore', stdout, 'pipe'],
    env: { PATH: process.env['PATH'] },
    signal,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<Expansion>((resolve, reject) => {
    let errors = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-500);
    });
    child.once('error', reject);
    child.once('close', (code, by) => {
      if (code === 0) resolve({ ok: true });
      else
        resolve({
          ok: false,
          message: by === null ? `zstd: ${errors.trim() || `exit code ${code}`}` : `zstd was ended by ${by}`,
        });
    });
  });
  // It is awaited after the output; until then a failure is nobody's.
  ended.catch(() => undefined);
  return { output: child.stdout, ended, pid: child.pid, kill: () => void child.kill('SIGKILL') };
}
