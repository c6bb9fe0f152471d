/** Thread entry: serves the images of a directory until it is asked to stop. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { StoreLayout } from './domain/store-layout.js';
import { InstalledImages } from './installed-images.js';
import { ImageServer } from './service/image-server.js';
import type { ServingJob, ServingMessage } from './service/serving-thread.js';

const { directory, settings, nice } = workerData as ServingJob;
// Of this thread alone: Linux has priorities for threads, setpriority(2).
setPriority(nice);
const send = (message: ServingMessage): void => parentPort?.postMessage(message);
const server = new ImageServer(new InstalledImages(new StoreLayout(directory)), settings, (error, url) =>
  send({ kind: 'failed', message: error instanceof Error ? error.message : String(error), url }),
);
const url = await server.start();
send({ kind: 'serving', url });
// Messages wait until somebody listens.
if (url !== undefined) parentPort?.once('message', () => void server.stop());
