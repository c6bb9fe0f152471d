/** The objects that the versions of one directory stand on. */
import type { Collection, TreeProblem } from '@plinth/image-store';
import { StoreLayout } from './domain/store-layout.js';
import type { CheckJob } from './check.worker.js';
import type { CollectionJob } from './collection.worker.js';
import { runInThread } from './job-thread.js';

export class ObjectDirectory {
  constructor(private readonly layout: StoreLayout) {}

  /**
   * Reads versions whole, and takes the names of damaged objects away.
   * @param directories of versions
   * @param bytesPerSecond to read at most
   * @returns what is wrong with each of them; nothing with one that is gone
   */
  check(
    directories: readonly string[],
    bytesPerSecond: number,
    signal: AbortSignal,
  ): Promise<readonly (readonly TreeProblem[])[]> {
    const job: CheckJob = { directories, objects: this.layout.objects, bytesPerSecond };
    return runInThread('check.worker.js', job, signal, 1_024);
  }

  /**
   * Removes the objects that no version has; other processes may do the same or install meanwhile.
   * @param trees in staging, deleted before
   */
  collect(signal: AbortSignal, trees: readonly string[] = []): Promise<Collection> {
    const job: CollectionJob = { objects: this.layout.objects, trees };
    return runInThread('collection.worker.js', job, signal, 256);
  }
}
