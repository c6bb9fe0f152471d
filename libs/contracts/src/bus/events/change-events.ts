/** Changing ports, egress and limits of a container that was made before. */
import { ArrayMaxSize, IsBoolean, IsIn, IsOptional, Matches } from 'class-validator';
import { IsText } from '../../rules.js';
import { Bandwidth, IsBandwidth } from '../../container-limits.js';
import {
  ArePortsDistinct,
  EgressPolicy,
  MAX_PUBLISHED_PORTS,
  PortRequest,
  PublishedPort,
} from '../../container-network.js';
import { Nested, NestedEach } from '../../nested.js';
import { READABLE_TEXT_PATTERN } from '../../values.js';
import { ContainerFact } from './container-facts.js';
import { ContainerActionRequested, ResourceLimits } from './container-requests.js';

/** What of a container can be changed. */
export const CHANGEABLE_PARTS = [
  'memory',
  'cpus',
  'pids',
  'disk',
  'open-files',
  'io',
  'ports',
  'egress',
  'bandwidth',
] as const;
export type ChangeablePart = (typeof CHANGEABLE_PARTS)[number];

export const RESETTABLE_PARTS = ['io', 'egress', 'bandwidth'] as const;
export type ResettablePart = (typeof RESETTABLE_PARTS)[number];

/**
 * Asks for other ports, egress or limits. What is absent stays as it is, also within `limits`, `limits.io` and
 * `bandwidth`. What is so already is no change.
 */
export class ContainerChangeRequested extends ContainerActionRequested {
  /** `diskBytes` only for a container that was made with a limit of its disk. */
  @IsOptional()
  @Nested(() => ResourceLimits)
  limits?: ResourceLimits;

  /** In addition to those that it has. */
  @IsOptional()
  @ArePortsDistinct()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PortRequest)
  publish?: PortRequest[];

  /** Those that fit: of this container port and protocol, and of the host port and address where they are named. */
  @IsOptional()
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PortRequest)
  unpublish?: PortRequest[];

  @IsOptional()
  @Nested(() => EgressPolicy)
  egress?: EgressPolicy;

  @IsOptional()
  @IsBandwidth()
  @Nested(() => Bandwidth)
  bandwidth?: Bandwidth;

  /** As of a container that was made without it, before the rest of the request counts. */
  @IsOptional()
  @ArrayMaxSize(RESETTABLE_PARTS.length)
  @IsIn(RESETTABLE_PARTS, { each: true })
  reset?: ResettablePart[];

  /** Start it again, so that everything is in effect. */
  @IsOptional()
  @IsBoolean()
  restart?: boolean;
}

/** A part of the config that is not in effect. */
export class PendingPart {
  @IsIn(CHANGEABLE_PARTS)
  part!: ChangeablePart;

  /** Why, and what brings it into effect. */
  @IsText(500)
  @Matches(READABLE_TEXT_PATTERN)
  message!: string;
}

/** The host has the changed config. */
export class ContainerChanged extends ContainerFact {
  /** Event id of the request. */
  @IsText(200)
  requestId!: string;

  /** Changed, and in effect. */
  @ArrayMaxSize(CHANGEABLE_PARTS.length)
  @IsIn(CHANGEABLE_PARTS, { each: true })
  applied!: ChangeablePart[];

  /** Changed, and not in effect; both lists are empty when all was as it was asked for. */
  @ArrayMaxSize(CHANGEABLE_PARTS.length)
  @NestedEach(() => PendingPart)
  pending!: PendingPart[];

  /** All that it has now. */
  @ArrayMaxSize(MAX_PUBLISHED_PORTS)
  @NestedEach(() => PublishedPort)
  ports!: PublishedPort[];
}
