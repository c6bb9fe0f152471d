/** Why a container is where it is, as it is stored with it, and where one would be placed. */
import { ArrayMaxSize, IsArray, IsBoolean, IsIn, IsISO8601, IsNumber, IsOptional, Matches } from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { EXACT_IMAGE_REF_PATTERN, NAME_PATTERN } from '../values.js';
import { CONTAINER_REJECTION_REASONS, type ContainerRejectionReason } from './events/container-facts.js';

/** What a host has to be like to get a container, in the order in which it is asked, and what it leaves hosts out for. */
export const PLACEMENT_FILTERS = {
  datacenter: 'in another data centre',
  labels: 'without the labels',
  image: 'without a way to the storage',
  architecture: 'of another architecture',
  space: 'whose storage is full',
  network: 'without the network',
  disk: 'without limits of disks',
  limits: 'that can not hold the limits',
  users: 'without the users',
  ports: 'with a port taken that was asked for',
  near: 'not near the group',
  apart: 'not apart from the group',
  spread: 'where more of the group are',
  room: 'without room',
} as const;

/** @param filter also of a newer provisioner */
export function excludedText(filter: string, count: number): string {
  return `${count} ${Object.hasOwn(PLACEMENT_FILTERS, filter) ? PLACEMENT_FILTERS[filter as keyof typeof PLACEMENT_FILTERS] : filter}`;
}

export class HostScore {
  @Matches(NAME_PATTERN)
  readonly host!: string;

  /** More is better; it means something beside others of the same decision only. */
  @IsNumber()
  readonly score!: number;
}

export class ExcludedCount {
  @IsText(32)
  readonly filter!: string;

  @IsCount(1)
  readonly count!: number;
}

/** The last decision about a container's host. */
export class PlacementRecord {
  @IsISO8601()
  readonly at!: string;

  @Matches(NAME_PATTERN)
  readonly host!: string;

  @IsText(32)
  readonly policy!: string;

  /** Hosts that got containers then, as far as was known. */
  @IsCount()
  readonly hosts!: number;

  /** Of them those that were drawn and decided on. */
  @IsCount()
  readonly lookedAt!: number;

  /** The first ones, best first; the chosen one may be a later one when others had no room any more. */
  @ArrayMaxSize(3)
  @NestedEach(() => HostScore)
  readonly scores!: readonly HostScore[];

  /** Of those that were looked at. */
  @ArrayMaxSize(32)
  @NestedEach(() => ExcludedCount)
  readonly excluded!: readonly ExcludedCount[];
}

/** A number of 0 to 1 for a host, and what it counts. */
export class ScorePart {
  @IsText(32)
  readonly name!: string;

  @IsNumber()
  readonly weight!: number;

  @IsNumber()
  readonly value!: number;
}

export class RankedHostAnswer extends HostScore {
  @ArrayMaxSize(32)
  @NestedEach(() => ScorePart)
  readonly parts!: readonly ScorePart[];
}

export class ExcludedHosts extends ExcludedCount {
  /** Some of them. */
  @IsArray()
  @ArrayMaxSize(3)
  @Matches(NAME_PATTERN, { each: true })
  readonly hosts!: readonly string[];

  /** Why the first of them does not fit. */
  @IsText(4000)
  readonly why!: string;
}

/** One host that was asked about. */
export class ExplainedHost {
  @Matches(NAME_PATTERN)
  readonly host!: string;

  @IsBoolean()
  readonly fits!: boolean;

  /** Absent: it fits, or gets no containers at all now. */
  @IsOptional()
  @IsText(32)
  readonly filter?: string;

  /** Why it does not fit, for people. */
  @IsOptional()
  @IsText(4000)
  readonly why?: string;

  /** Its place among those that fit, from 1. */
  @IsOptional()
  @IsCount(1)
  readonly rank?: number;

  @IsOptional()
  @IsNumber()
  readonly score?: number;

  @IsOptional()
  @ArrayMaxSize(32)
  @NestedEach(() => ScorePart)
  readonly parts?: readonly ScorePart[];
}

/** Where a container would be placed now. Nothing was reserved. */
export class PlacementPreview {
  /** Null: the request would be refused. */
  @IsNullable()
  @Matches(NAME_PATTERN)
  readonly host!: string | null;

  @IsNullable()
  @IsIn(CONTAINER_REJECTION_REASONS)
  readonly reason!: ContainerRejectionReason | null;

  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsNullable()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly image!: string | null;

  @IsText(32)
  readonly policy!: string;

  /** Hosts that get containers. */
  @IsCount()
  readonly hosts!: number;

  /** Those that fit. */
  @IsCount()
  readonly fitting!: number;

  /** The first of those that fit, best first. */
  @ArrayMaxSize(10)
  @NestedEach(() => RankedHostAnswer)
  readonly ranked!: readonly RankedHostAnswer[];

  @ArrayMaxSize(32)
  @NestedEach(() => ExcludedHosts)
  readonly excluded!: readonly ExcludedHosts[];

  /** The host that was asked about; null: none was. */
  @IsNullable()
  @Nested(() => ExplainedHost)
  readonly explained!: ExplainedHost | null;
}
