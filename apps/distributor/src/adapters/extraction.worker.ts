/** Thread entry: one extraction, one result. */
import { parentPort, workerData } from 'node:worker_threads';
import { extractArchive, type ExtractionJob } from '@plinth/image-store';

parentPort?.postMessage(await extractArchive(workerData as ExtractionJob));
