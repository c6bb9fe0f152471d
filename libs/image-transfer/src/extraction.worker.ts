/** Thread entry: one extraction, one result. */
import { parentPort, workerData } from 'node:worker_threads';
import { fillTree, type FillJob } from './fill-tree.js';

parentPort?.postMessage(await fillTree(workerData as FillJob));
