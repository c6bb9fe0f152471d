/** Answers about hosts and storage nodes. */
import { HostStatus, StorageStatus } from '../../bus/status.js';
import { NestedEach } from '../../nested.js';
import { OfATime } from './answer-time.js';

export class HostList extends OfATime {
  @NestedEach(() => HostStatus)
  readonly items!: readonly HostStatus[];
}

export class StorageList extends OfATime {
  @NestedEach(() => StorageStatus)
  readonly items!: readonly StorageStatus[];
}
