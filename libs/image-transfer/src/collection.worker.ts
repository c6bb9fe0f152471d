/** Thread entry: trees that nothing needs are deleted, then the objects that no tree has, at the lowest priority. */
import { constants, setPriority } from 'node:os';
import { rmSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { collectObjects } from '@plinth/image-store';

export interface CollectionJob {
  readonly objects: string;
  /** Deleted first; in staging, where nothing else has them. */
  readonly trees: readonly string[];
}

const { objects, trees } = workerData as CollectionJob;
// Of this thread alone: Linux has priorities for threads, setpriority(2).
setPriority(constants.priority.PRIORITY_LOW);
for (const tree of trees) rmSync(tree, { recursive: true, force: true });
parentPort?.postMessage(await collectObjects(objects, Date.now()));
