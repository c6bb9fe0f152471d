/** Thread entry: one collection of objects, at the lowest priority. */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { collectObjects } from '@plinth/image-store';

// Of this thread alone: Linux has priorities for threads, setpriority(2).
setPriority(constants.priority.PRIORITY_LOW);
parentPort?.postMessage(await collectObjects(workerData as string, Date.now()));
