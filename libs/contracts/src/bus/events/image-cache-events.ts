/** Images in the hosts' own stores: requests, what hosts report, and the facts about it. */
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsIn,
  IsISO8601,
  IsNumber,
  IsOptional,
  Matches,
  Min,
} from 'class-validator';
import { AreLabels, type Labels } from '../../placement-rules.js';
import { IsCount, IsText } from '../../rules.js';
import { EXACT_IMAGE_REF_PATTERN, NAME_PATTERN, VERSION_PATTERN } from '../../values.js';
import { DISTRIBUTION_FAILURE_REASONS, type DistributionFailureReason } from './image-events.js';

/** Hosts that one request names at most. */
export const MAX_REQUESTED_HOSTS = 1000;

class HostImageRequest {
  @Matches(EXACT_IMAGE_REF_PATTERN, { message: 'image must be a name and a version, such as debian-12@v3' })
  image!: string;

  /** Absent, without labels too: every host that has a store. */
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MAX_REQUESTED_HOSTS)
  @ArrayUnique()
  @Matches(NAME_PATTERN, { each: true })
  hosts?: string[];
}

class LabelledHostImageRequest extends HostImageRequest {
  /** Hosts that have all of these labels when the request is decided; not together with `hosts`. */
  @IsOptional()
  @AreLabels(true)
  labels?: Labels;
}

/** Asks that hosts fetch a version before a container needs it. */
export class ImagePrefetchRequested extends LabelledHostImageRequest {}

/** Asks that hosts fetch a version and keep it, or that they need not keep it any more. */
export class ImagePinRequested extends LabelledHostImageRequest {
  @IsBoolean()
  pinned!: boolean;
}

/** Asks that hosts remove a version that no container of theirs needs; it is no longer prefetched or pinned there. */
export class ImageEvictRequested extends HostImageRequest {}

export const IMAGE_CACHE_OPERATIONS = ['prefetch', 'pin', 'unpin', 'evict'] as const;
export type ImageCacheOperation = (typeof IMAGE_CACHE_OPERATIONS)[number];

/** What hosts are to hold was changed; they follow. */
export class ImageCacheChanged {
  @IsIn(IMAGE_CACHE_OPERATIONS)
  operation!: ImageCacheOperation;

  @IsText(200)
  requestId!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;

  /** Hosts for which something changed. */
  @IsCount()
  hosts!: number;
}

export const HOST_IMAGE_STATES = ['cached', 'failed', 'evicted'] as const;
export type HostImageState = (typeof HOST_IMAGE_STATES)[number];

/** `report.host.<host>.image`: one change of one version in the store of a host. */
export class HostImageReport {
  @Matches(NAME_PATTERN)
  host!: string;

  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;

  @IsIn(HOST_IMAGE_STATES)
  state!: HostImageState;

  @IsISO8601()
  at!: string;

  /** cached: bytes that came over the network for it. */
  @IsOptional()
  @IsCount()
  downloadedBytes?: number;

  @IsOptional()
  @IsNumber()
  @Min(0)
  durationMs?: number;

  /** cached: `name@version` of the base of a delta that was used. */
  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  deltaFrom?: string;

  /** cached: URL of the source that the last bytes came from. */
  @IsOptional()
  @IsText(2000)
  source?: string;

  /** failed */
  @IsOptional()
  @IsIn(DISTRIBUTION_FAILURE_REASONS)
  reason?: DistributionFailureReason;

  /** failed, evicted: one sentence for people. */
  @IsOptional()
  @IsText(2000)
  message?: string;

  /** failed: the host tries again by itself after this time; absent: only when it is wanted again. */
  @IsOptional()
  @IsCount()
  retryInMs?: number;
}

class HostImageFact {
  @Matches(NAME_PATTERN)
  host!: string;

  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;

  @IsOptional()
  @IsText(2000)
  message?: string;
}

/** A version stands, checked against its manifest, in the store of a host. */
export class ImageCached extends HostImageFact {
  @IsOptional()
  @IsCount()
  downloadedBytes?: number;

  @IsOptional()
  @IsNumber()
  @Min(0)
  durationMs?: number;

  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  deltaFrom?: string;

  @IsOptional()
  @IsText(2000)
  source?: string;
}

export class ImageCacheFailed extends HostImageFact {
  @IsIn(DISTRIBUTION_FAILURE_REASONS)
  reason!: DistributionFailureReason;

  @IsOptional()
  @IsCount()
  retryInMs?: number;
}

/** A host has removed a version from its store. */
export class ImageEvicted extends HostImageFact {}
