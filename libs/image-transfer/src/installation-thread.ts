/**
 * A whole installation in a thread of its own, for programs whose event loop has other work: downloads, digests,
 * manifests and trees are all handled there.
 */
import type { ProducedImage, TryProgress } from './domain/installed.js';
import type { InstallationResult } from './installation.js';
import { runInThread } from './job-thread.js';
import type { SharedPace } from './pace.js';

export interface InstallationJob {
  /** Of installed images; see `StoreLayout`. */
  readonly directory: string;
  readonly image: ProducedImage;
  /** Number of tries so far. */
  readonly turn: number;
  readonly stallMs: number;
  readonly token?: string;
  /** Rate of all that this machine receives; absent: no limit. */
  readonly pace?: SharedPace;
  /** Directory of the keys whose images are trusted. */
  readonly trustedKeys: string;
  /** Nice value of the thread and of the programs that it starts, 0 to 19. */
  readonly nice: number;
}

/** Manifests of the largest images take some hundred megabytes when they are parsed. */
const HEAP_MEGABYTES = 1_024;

/**
 * One try; the caller holds the image's lock.
 * @throws the signal's reason when it was aborted: what is in staging then is for `Staging.clean`
 */
export function installInThread(
  job: InstallationJob,
  signal: AbortSignal,
  onProgress?: (progress: TryProgress) => void,
): Promise<InstallationResult> {
  return runInThread('installation.worker.js', job, signal, HEAP_MEGABYTES, onProgress);
}
