/** Programs that make a lab, run to their end. */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { LabError } from './plan.js';

export interface Ran {
  /** 128 + n: signal n ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Of standard input; nothing when absent. */
  readonly input?: string | Buffer;
  /** After it the command is killed. */
  readonly timeoutMs?: number;
  /** What the command has started may go on and keep its output open: its own end counts. */
  readonly orphans?: boolean;
}

/** Signals have no numbers in Node.js; a shell has 128 + 9 for a command that was killed. */
const KILLED = 137;

/** Never rejects on an exit code. @throws Error when there is no such program */
export function runProgram(
  argv: readonly string[],
  { input, timeoutMs, orphans = false }: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawnProgram(argv, ['pipe', 'pipe', 'pipe']);
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout?.on('data', (data: Buffer) => stdout.push(data));
    child.stderr?.on('data', (data: Buffer) => stderr.push(data));
    // A command that does not read its input to the end closes it.
    child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    child.stdin?.end(input);
    const late = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.once('error', reject);
    child.once(orphans ? 'exit' : 'close', (code) => {
      clearTimeout(late);
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({
        code: code ?? KILLED,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** @throws LabError with what the program printed, when it fails */
export async function mustRun(argv: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await runProgram(argv, options);
  if (code !== 0) throw new LabError(`${argv.join(' ')} ended with ${code}: ${(stderr || stdout).trim()}`);
  return stdout;
}

export function spawnProgram(argv: readonly string[], stdio: StdioOptions, detached = false): ChildProcess {
  const [file, ...args] = argv;
  if (file === undefined) throw new TypeError('an empty command');
  return spawn(file, args, { stdio, detached, cwd: '/' });
}
