/** The objects that the masters of this node stand on. */
import { Inject, Injectable } from '@nestjs/common';
import type { Collection } from '@plinth/image-store';
import { StorageLayout } from '../domain/storage-layout.js';
import { runInThread } from './job-thread.js';

@Injectable()
export class ObjectDirectory {
  constructor(@Inject(StorageLayout) private readonly layout: StorageLayout) {}

  /** Removes the objects that no master has; other distributors of this node may do the same or install meanwhile. */
  collect(signal: AbortSignal): Promise<Collection> {
    return runInThread('collection.worker.js', this.layout.objects, signal, 256);
  }
}
