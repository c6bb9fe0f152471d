/** Thread entry: one try of one installation. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { checkVersion, FileReader } from '@plinth/image-store';
import { TrustedKeys } from '@plinth/image-trust';
import type { TryProgress } from './domain/installed.js';
import { StoreLayout } from './domain/store-layout.js';
import { fillTree } from './fill-tree.js';
import { Installation } from './installation.js';
import type { InstallationJob } from './installation-thread.js';
import { InstalledImages } from './installed-images.js';
import { Pace } from './pace.js';
import { Staging } from './staging.js';

const { directory, image, turn, stallMs, token, trustedKeys, nice, pace } = workerData as InstallationJob;
// Of this thread alone: Linux has priorities for threads, setpriority(2).
setPriority(nice);
const layout = new StoreLayout(directory);
const SHOWN_EVERY_MS = 250;
let latest: TryProgress | undefined;
setInterval(() => {
  if (latest) parentPort?.postMessage({ progress: latest });
  latest = undefined;
}, SHOWN_EVERY_MS).unref();
const installation = new Installation(
  {
    images: new InstalledImages(layout),
    staging: new Staging(layout),
    keys: new TrustedKeys(trustedKeys),
    extract: (job) => fillTree(job),
    check: (version) => Promise.resolve(checkVersion(version, layout.objects, new FileReader()) ?? []),
    stallMs,
    ...(pace && { pace: new Pace(pace) }),
    onProgress: (progress) => {
      latest = progress;
    },
    token: () => token,
  },
  image,
  turn,
  // The thread is ended to cancel it.
  new AbortController().signal,
);
parentPort?.postMessage(await installation.run());
