/** Facts about hosts, published by the provisioner. */
import { IsISO8601, Matches } from 'class-validator';
import { NAME_PATTERN } from '../values.js';

class HostFact {
  @Matches(NAME_PATTERN)
  host!: string;

  @IsISO8601()
  lastSeenAt!: string;
}

/** A host was heard for the first time. */
export class HostJoined extends HostFact {}

/** A host missed its heartbeats; it gets nothing new until it is heard again. */
export class HostLost extends HostFact {}

/** A lost host was heard again. */
export class HostRecovered extends HostFact {}
