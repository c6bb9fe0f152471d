/** Thread entry: one check of versions, at the lowest priority and with a limit of bytes a second. */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { checkVersion, FileReader } from '@plinth/image-store';

export interface CheckJob {
  readonly directories: readonly string[];
  readonly objects: string;
  readonly bytesPerSecond: number;
}

const { directories, objects, bytesPerSecond } = workerData as CheckJob;
// Of this thread alone: Linux has priorities for threads, setpriority(2).
setPriority(constants.priority.PRIORITY_LOW);
const begun = performance.now();
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let read = 0;
const reader = new FileReader((bytes) => {
  read += bytes;
  const aheadMs = (read / bytesPerSecond) * 1_000 - (performance.now() - begun);
  if (aheadMs > 1) Atomics.wait(sleeper, 0, 0, aheadMs);
});
parentPort?.postMessage(directories.map((directory) => checkVersion(directory, objects, reader) ?? []));
