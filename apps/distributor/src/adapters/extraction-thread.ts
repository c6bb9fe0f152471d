/** Extracts in a thread of its own: thousands of file calls must not hold up heartbeats. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Outcome } from '../domain/failure.js';
import type { ExtractionJob } from './archive-extraction.js';

export type Extract = (job: ExtractionJob, signal: AbortSignal) => Promise<Outcome<void>>;

/** @throws the signal's reason when it was aborted; the thread has ended by then */
export const extractInThread: Extract = async (job, signal) => {
  signal.throwIfAborted();
  const worker = new Worker(new URL('./extraction.worker.js', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const abort = (): void => void worker.terminate();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const ended = once(worker, 'exit');
    let outcome: Outcome<void> | undefined;
    worker.on('message', (message: Outcome<void>) => {
      outcome = message;
    });
    await ended;
    signal.throwIfAborted();
    if (!outcome) throw new Error('the extraction thread ended without a result');
    return outcome;
  } finally {
    signal.removeEventListener('abort', abort);
  }
};
