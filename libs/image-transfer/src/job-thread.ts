/** Runs a job in a thread of its own: thousands of file calls must not hold up heartbeats. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/**
 * @param program beside this file's bundle; it posts one result, and `{progress}` any number of times before it
 * @throws the signal's reason when it was aborted, and what the thread threw; it has ended by then
 */
export async function runInThread<Result, Progress = never>(
  program: `${string}.worker.js`,
  job: unknown,
  signal: AbortSignal,
  heapMegabytes: number,
  onProgress?: (progress: Progress) => void,
): Promise<Result> {
  signal.throwIfAborted();
  const worker = new Worker(new URL(`./${program}`, import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  const abort = (): void => void worker.terminate();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const results: Result[] = [];
    worker.on('message', (message: Result | { readonly progress: Progress }) => {
      if (typeof message === 'object' && message !== null && 'progress' in message) onProgress?.(message.progress);
      else results.push(message);
    });
    await once(worker, 'exit');
    signal.throwIfAborted();
    const [result] = results;
    if (result === undefined) throw new Error(`the thread ${program} ended without a result`);
    return result;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
