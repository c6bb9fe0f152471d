import type { FillSummary, StoreOutcome } from '@plinth/image-store';
import type { FillJob } from './fill-tree.js';
import { runInThread } from './job-thread.js';

export type Extract = (job: FillJob, signal: AbortSignal) => Promise<StoreOutcome<FillSummary>>;

/** @throws the signal's reason when it was aborted; the thread has ended by then */
export const extractInThread: Extract = (job, signal) => runInThread('extraction.worker.js', job, signal, 512);
