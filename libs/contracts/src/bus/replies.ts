/** What queries are answered with: the `data` of a QueryReply. Long lists come in pages. */
import {
  ArrayMaxSize,
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsInt,
  IsISO8601,
  IsNumber,
  IsOptional,
  IsString,
  Matches,
  Min,
} from 'class-validator';
import { IsCount, IsText } from '../rules.js';
import { ContainerConfig } from '../container-config.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { DIGEST_PATTERN, EXACT_IMAGE_REF_PATTERN, ID_PATTERN, NAME_PATTERN, VERSION_PATTERN } from '../values.js';
import { FailedCheck } from './events/container-facts.js';
import { CONTAINER_REPORT_KINDS, type ContainerReportKind } from './events/reports.js';
import { RolloutRequested } from './events/rollout-events.js';
import { PlacementRecord } from './placement-replies.js';
import { ContainerStatus, HostStatus, IMAGE_STATES, type ImageState, StorageStatus } from './status.js';
import { RolloutStatus } from './rollout-status.js';

/** What every query is answered with. */
export type QueryReply<T> = { readonly ok: true; readonly data: T } | ({ readonly ok: false } & QueryRefusal);

/** Why a query has no answer. */
export class QueryRefusal {
  @IsText(200)
  readonly reason!: string;

  @IsString()
  readonly message!: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back to get the next page; absent on the last. */
  readonly next?: string;
}

class PageOf {
  /** Pass it back to get the next page; absent on the last. */
  @IsOptional()
  @IsText(200)
  readonly next?: string;
}

export class ContainerPage extends PageOf implements Page<ContainerStatus> {
  @ArrayMaxSize(500)
  @NestedEach(() => ContainerStatus)
  readonly items!: readonly ContainerStatus[];
}

export class HostPage extends PageOf implements Page<HostStatus> {
  @ArrayMaxSize(500)
  @NestedEach(() => HostStatus)
  readonly items!: readonly HostStatus[];
}

export class StoragePage extends PageOf implements Page<StorageStatus> {
  @ArrayMaxSize(500)
  @NestedEach(() => StorageStatus)
  readonly items!: readonly StorageStatus[];
}

export class RolloutPage extends PageOf implements Page<RolloutStatus> {
  @ArrayMaxSize(500)
  @NestedEach(() => RolloutStatus)
  readonly items!: readonly RolloutStatus[];
}

export const CONTAINER_HISTORY_KINDS = [...CONTAINER_REPORT_KINDS, 'configured', 'lost', 'moved'] as const;
export type ContainerHistoryKind = ContainerReportKind | 'configured' | 'lost' | 'moved';

export class ContainerHistoryEntry {
  @IsISO8601()
  readonly at!: string;

  @IsIn(CONTAINER_HISTORY_KINDS)
  readonly kind!: ContainerHistoryKind;

  @IsCount(1)
  readonly generation!: number;

  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;
}

export class ContainerDetails extends ContainerStatus {
  @IsNullable()
  @Nested(() => ContainerConfig)
  readonly config!: ContainerConfig | null;

  @ArrayMaxSize(50)
  @NestedEach(() => ContainerHistoryEntry)
  readonly history!: readonly ContainerHistoryEntry[];

  /** Failures of when it became unhealthy last, oldest first; of an earlier run, too. */
  @ArrayMaxSize(5)
  @NestedEach(() => FailedCheck)
  readonly failedChecks!: readonly FailedCheck[];

  /** Why it is on its host, or on its way to one; null: it was placed before that was kept. */
  @IsOptional()
  @IsNullable()
  @Nested(() => PlacementRecord)
  readonly placement!: PlacementRecord | null;
}

/** The provisioner's view of one version, put together from facts. */
export class ImageSummary {
  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(VERSION_PATTERN)
  readonly version!: string;

  @IsIn(IMAGE_STATES)
  readonly state!: ImageState;

  @IsNullable()
  @Matches(DIGEST_PATTERN)
  readonly contentDigest!: string | null;

  @IsNullable()
  @IsCount()
  readonly archiveBytes!: number | null;

  @IsNullable()
  @IsCount()
  readonly unpackedBytes!: number | null;

  @IsNullable()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly parent!: string | null;

  /** Storage nodes that hold a master. */
  @IsArray()
  @Matches(NAME_PATTERN, { each: true })
  readonly storageNodes!: readonly string[];

  @IsBoolean()
  readonly defaultVersion!: boolean;

  @IsBoolean()
  readonly defaultOs!: boolean;

  @IsCount()
  readonly containers!: number;

  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;

  @IsISO8601()
  readonly at!: string;
}

export class ImagePage extends PageOf implements Page<ImageSummary> {
  @ArrayMaxSize(500)
  @NestedEach(() => ImageSummary)
  readonly items!: readonly ImageSummary[];
}

export const MEMBER_PHASES = ['pending', 'switching', 'updated', 'failed', 'skipped', 'restoring', 'restored'] as const;
export type MemberPhase = (typeof MEMBER_PHASES)[number];

export class RolloutMember {
  @Matches(ID_PATTERN)
  readonly containerId!: string;

  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(NAME_PATTERN)
  readonly tenant!: string;

  @Matches(NAME_PATTERN)
  readonly host!: string;

  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly from!: string;

  /** `name@version`, or `known-good` while it is not chosen. */
  @IsText(80)
  readonly to!: string;

  @IsIn(MEMBER_PHASES)
  readonly phase!: MemberPhase;

  @IsNullable()
  @IsCount()
  readonly batch!: number | null;

  @IsNullable()
  @IsText(200)
  readonly reason!: string | null;

  @IsNullable()
  @IsText(4000)
  readonly message!: string | null;
}

export class RolloutDetails extends RolloutStatus {
  @IsDefined()
  @Nested(() => RolloutRequested)
  readonly request!: RolloutRequested;

  /** The first of them, in the order in which the rollout takes them. */
  @ArrayMaxSize(2000)
  @NestedEach(() => RolloutMember)
  readonly members!: readonly RolloutMember[];

  /** Cursor of `query.rollout.members` for those after; absent: these are all. */
  @IsOptional()
  @IsText(200)
  readonly next?: string;
}

export class RolloutMemberPage extends PageOf implements Page<RolloutMember> {
  @ArrayMaxSize(500)
  @NestedEach(() => RolloutMember)
  readonly items!: readonly RolloutMember[];
}

/** The last message of a streamed reply. */
export class StreamEnd {
  /** Exit code of the command; 0 for a log. */
  @IsInt()
  readonly exitCode!: number;
}

export class MountSummary {
  @IsString()
  readonly target!: string;

  @IsString()
  readonly type!: string;

  @IsBoolean()
  readonly readOnly!: boolean;
}

/** What the container itself has received and sent since its last start. */
export class NetworkTraffic {
  @IsCount()
  readonly receivedBytes!: number;

  @IsCount()
  readonly receivedPackets!: number;

  @IsCount()
  readonly sentBytes!: number;

  @IsCount()
  readonly sentPackets!: number;
}

/** How a container was held to its limits since its last start. */
export class LimitFigures {
  /** Processes that were killed because the memory limit was reached. */
  @IsCount()
  readonly memoryKills!: number;

  /** Processes and threads that were refused. */
  @IsCount()
  readonly refusedForks!: number;

  /** Periods of 100 ms in which it had used up its processor time. */
  @IsCount()
  readonly throttledPeriods!: number;

  /** How long its processes waited for that, together, milliseconds. */
  @IsNumber()
  @Min(0)
  readonly throttledMs!: number;

  /** What its data take, bytes; absent: they are not held to a limit. */
  @IsOptional()
  @IsCount()
  readonly diskBytes?: number;
}

export class ContainerStats {
  @Matches(ID_PATTERN)
  readonly containerId!: string;

  @IsCount(1)
  readonly pid!: number;

  /**
   * Sum over its processes, bytes (from /proc/<pid>/smaps_rollup): pages that no other process maps, pages shared with
   * others, and the fair share.
   */
  @IsCount()
  readonly privateBytes!: number;

  @IsCount()
  readonly sharedBytes!: number;

  @IsCount()
  readonly proportionalBytes!: number;

  /** The cgroup's own count, page cache it was the first to touch included. */
  @IsCount()
  readonly cgroupBytes!: number;

  @IsCount()
  readonly processes!: number;

  /** Since its last start; absent: its host's agent is older than this. */
  @IsOptional()
  @Nested(() => LimitFigures)
  readonly limits?: LimitFigures;

  /** Mounts in its namespace, in order: target, type, read-only. */
  @NestedEach(() => MountSummary)
  readonly mounts!: readonly MountSummary[];

  /** Absent: it has no interface of its own. */
  @IsOptional()
  @Nested(() => NetworkTraffic)
  readonly network?: NetworkTraffic;
}

export class StreamPosition {
  @IsText(200)
  readonly name!: string;

  /** Time of creation: another one means another stream. */
  @IsText(200)
  readonly created!: string;

  @IsCount()
  readonly lastSequence!: number;

  /** How many it holds; absent: the provisioner is older than this. */
  @IsOptional()
  @IsCount()
  readonly messages?: number;
}

/** The answer to a request below `consumers.`: the asker may bind now. */
export class OpenedConsumers {
  /** Values that wait in a host's desired state; 0 for others. */
  @IsCount()
  readonly pending!: number;

  /** Where the streams stand, for services that must notice when the bus has lost messages. */
  @NestedEach(() => StreamPosition)
  readonly streams!: readonly StreamPosition[];
}

export class DroppedDeadLetters {
  @IsArray()
  @IsInt({ each: true })
  readonly dropped!: readonly number[];

  /** Letters that were gone before, or are another letter by now. */
  @IsArray()
  @IsInt({ each: true })
  readonly missing!: readonly number[];
}
