import { Socket } from 'node:net';
import { lightSpawn } from '../kernel/light-spawn.js';
import type { RuntimeBinary } from './runtime-binary.js';
import { runtimeEnvironment, type RuntimePaths } from './runtime-paths.js';

/**
 * One conmon per container: it is the container's parent, keeps its log, and writes its exit code where a restarted
 * agent finds it.
 */
export interface ConmonInputs {
  readonly conmon: string;
  readonly binary: RuntimeBinary;
  readonly paths: RuntimePaths;
  readonly id: string;
  /** Directory that holds its config. */
  readonly bundle: string;
  readonly logLimitBytes: number;
  /** Aborting stops the waiting, not conmon. */
  readonly signal: AbortSignal;
}

export type ConmonAnswer =
  | { readonly ok: true; /** Host pid of the container's first process, created and waiting. */ readonly pid: number }
  | { readonly ok: false; /** What the runtime printed. */ readonly stderr: string };

/** Longest answer that is read; the runtime's error text is in it. */
const ANSWER_LIMIT = 64 * 1024;

/**
 * Has conmon create the container, and waits for its answer on the sync pipe. conmon forks itself away: it and the
 * container outlive this process. Its environment is empty but for PATH, so nothing of the service's reaches hooks or
 * logs.
 */
export async function createWithConmon(inputs: ConmonInputs): Promise<ConmonAnswer> {
  const { binary, paths, id } = inputs;
  const bundle = `${paths.bundles}/${id}`;
  const runtime = ['-r', binary.path, '--runtime-arg', '--root', '--runtime-arg', paths.runtimeRoot];
  const files = ['-b', inputs.bundle, '-p', `${bundle}/pid`, '-P', conmonPidFile(paths, id), '--exit-dir', paths.exits];
  const log = ['-l', `k8s-file:${logFile(paths, id)}`, '--log-size-max', String(inputs.logLimitBytes), '--no-sync-log'];
  const argv = [
    '--api-version',
    '1',
    '-c',
    id,
    '-u',
    id,
    '-n',
    id,
    ...runtime,
    ...files,
    ...log,
    '--socket-dir-path',
    paths.sockets,
    '--log-level',
    'error',
  ];
  const child = lightSpawn({
    file: inputs.conmon,
    argv,
    env: { ...runtimeEnvironment(paths), _OCI_SYNCPIPE: '3' },
  });
  const [errors, pipe] = [child.stderr, child.third].map(
    (fd) => new Socket({ fd, readable: true, writable: false }),
  ) as [Socket, Socket];
  return new Promise<ConmonAnswer>((resolve, reject) => {
    let answer = '';
    let output = '';
    const finish = (settle: () => void): void => {
      inputs.signal.removeEventListener('abort', onAbort);
      for (const stream of [pipe, errors]) stream.destroy();
      settle();
    };
    const onAbort = (): void => finish(() => reject(inputs.signal.reason as Error));
    inputs.signal.addEventListener('abort', onAbort, { once: true });
    if (inputs.signal.aborted) return onAbort();
    for (const stream of [pipe, errors]) stream.once('error', (error) => finish(() => reject(error)));
    errors.on('data', (chunk: Buffer) => {
      if (output.length < ANSWER_LIMIT) output += chunk.toString();
    });
    pipe.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
      if (answer.includes('\n') || answer.length > ANSWER_LIMIT)
        finish(() => resolve(parseConmonAnswer(answer, output)));
    });
    pipe.once('end', () => finish(() => resolve(parseConmonAnswer(answer, output))));
  });
}

/**
 * Reads `{"pid":42}` or `{"pid":-1,"message":"…"}` (conmon's ctr_logging protocol); `output` is used when there is no
 * message. Pure.
 */
export function parseConmonAnswer(answer: string, output: string): ConmonAnswer {
  const line = answer.split('\n')[0] ?? '';
  let parsed: { pid?: unknown; data?: unknown; message?: unknown };
  try {
    parsed = JSON.parse(line) as typeof parsed;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { ok: false, stderr: output.trim() || `conmon ended without an answer ${JSON.stringify(line)}` };
  }
  const pid = parsed.pid ?? parsed.data;
  if (typeof pid === 'number' && pid > 0) return { ok: true, pid };
  const message = typeof parsed.message === 'string' ? parsed.message.trim() : '';
  return { ok: false, stderr: message || output.trim() || 'the runtime failed without a message' };
}

export function conmonPidFile(paths: RuntimePaths, id: string): string {
  return `${paths.bundles}/${id}/conmon.pid`;
}

export function logFile(paths: RuntimePaths, id: string): string {
  return `${paths.logs}/${id}.log`;
}
