/** The objects that the masters of this node stand on. */
import { Inject, Injectable } from '@nestjs/common';
import type { Collection, TreeProblem } from '@plinth/image-store';
import { StorageLayout } from '../domain/storage-layout.js';
import type { CheckJob } from './check.worker.js';
import { runInThread } from './job-thread.js';

@Injectable()
export class ObjectDirectory {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

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

  /** Removes the objects that no master has; other distributors of this node may do the same or install meanwhile. */
  collect(signal: AbortSignal): Promise<Collection> {
    return runInThread('collection.worker.js', this.layout.objects, signal, 256);
  }
}
