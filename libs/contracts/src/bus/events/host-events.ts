/** Requests about hosts, and the facts that the provisioner publishes. */
import { ArrayMaxSize, IsArray, IsIn, IsISO8601, IsObject, IsOptional, IsString, Matches, Max } from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { NestedEach } from '../../nested.js';
import { AreLabels, LABEL_KEY_PATTERN, LABEL_KEY_WORDS, MAX_LABELS } from '../../placement-rules.js';
import { NAME_PATTERN } from '../../values.js';
import { Problem } from '../problem.js';

class HostFact {
  @Matches(NAME_PATTERN)
  host!: string;

  @IsISO8601()
  lastSeenAt!: string;
}

/** The first heartbeat of a host was received. */
export class HostJoined extends HostFact {}

/** A host missed its heartbeats; it gets nothing new until a heartbeat is received again. */
export class HostLost extends HostFact {}

/** A heartbeat of a lost host was received again. */
export class HostRecovered extends HostFact {}

/** `host.cordon.requested`, `host.uncordon.requested`. */
export class HostActionRequested {
  @Matches(NAME_PATTERN)
  host!: string;
}

/**
 * Cordons the host and moves its containers to others, a few at a time; those that no other host can take stay, with
 * the reason.
 */
export class HostDrainRequested extends HostActionRequested {
  /** Containers on their way at the same time; absent: 1. */
  @IsOptional()
  @IsCount(1)
  @Max(1000)
  parallel?: number;
}

/** Sets and removes labels of operators; those that the host's agent reports are not changed. */
export class HostLabelRequested extends HostActionRequested {
  /** Labels by their keys, instead of those of the host's agent. */
  @IsOptional()
  @AreLabels()
  set?: Record<string, string>;

  /** Keys of labels that operators set. */
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(MAX_LABELS)
  @Matches(LABEL_KEY_PATTERN, { each: true, message: `each key must be ${LABEL_KEY_WORDS}` })
  remove?: string[];
}

class HostScheduling {
  @Matches(NAME_PATTERN)
  host!: string;
}

/** Nothing new is placed on the host. */
export class HostCordoned extends HostScheduling {}

/** The host takes containers again; a drain is over. */
export class HostUncordoned extends HostScheduling {}

/** Labels of the host were changed by an operator. */
export class HostLabelled {
  @Matches(NAME_PATTERN)
  host!: string;

  @IsString()
  requestId!: string;

  /** In effect now. */
  @IsObject()
  labels!: Record<string, string>;
}

/** Nothing is left on the host. It stays cordoned. */
export class HostDrained extends HostScheduling {
  /** Containers that were moved. */
  @IsCount()
  moved!: number;
}

export const HOST_OPERATIONS = ['cordon', 'uncordon', 'drain', 'label'] as const;
export type HostOperation = (typeof HOST_OPERATIONS)[number];
export const HOST_REJECTION_REASONS = [
  'invalid-request',
  'host-not-found',
  'too-many-labels',
  'internal-error',
] as const;

/** A request about a host was refused; nothing was changed. */
export class HostRejected {
  @IsIn(HOST_OPERATIONS)
  operation!: HostOperation;

  @IsString()
  requestId!: string;

  @IsIn(HOST_REJECTION_REASONS)
  reason!: (typeof HOST_REJECTION_REASONS)[number];

  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsString()
  host?: string;

  @NestedEach(() => Problem)
  problems!: Problem[];
}
