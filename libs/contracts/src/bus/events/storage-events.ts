/** What has become of storage nodes. */
import { IsISO8601, Matches } from 'class-validator';
import { NAME_PATTERN } from '../../values.js';

class StorageFact {
  @Matches(NAME_PATTERN)
  node!: string;

  @IsISO8601()
  lastSeenAt!: string;
}

/** The first heartbeat of a storage node was received. */
export class StorageJoined extends StorageFact {}

/**
 * A storage node missed its heartbeats: nothing new is placed where its volumes are needed, and its leases count for
 * nothing.
 */
export class StorageLost extends StorageFact {}

/** A heartbeat of a lost storage node was received again. */
export class StorageRecovered extends StorageFact {}
