/**
 * What is in production, as state: `desired.image.<name>.<version>`. Storage nodes and hosts act on it, whenever they
 * join; no event is needed.
 */
import { ArrayMaxSize, ArrayUnique, IsArray, IsIn, IsOptional, IsString, IsUrl, Matches } from 'class-validator';
import { NestedEach } from './nested.js';
import { IsCount, IsText } from './rules.js';
import {
  ARCHITECTURE_PATTERN,
  DIGEST_PATTERN,
  EXACT_IMAGE_REF_PATTERN,
  NAME_PATTERN,
  VERSION_PATTERN,
} from './values.js';

/** Storage nodes and hosts of one data centre that are listed as sources of a version at most. */
export const MAX_PEERS_OF_DATA_CENTRE = 32;
/** Of one data centre: those that get a version from an image-builder while none has it. */
export const MAX_SEEDS_OF_DATA_CENTRE = 3;
/** Sources of one version in all: with the longest addresses they fit into one message of the bus. */
export const MAX_SOURCES = 1024;

/** Where a version can be fetched. An image-builder has neither data centre nor node. */
export class ImageSource {
  /** Base URL of the version; `signature.json` lies below it. What is fetched is believed for its digests only. */
  @IsUrl({ require_tld: false, protocols: ['http', 'https'], require_protocol: true })
  url!: string;

  @IsOptional()
  @Matches(NAME_PATTERN)
  dataCenter?: string;

  /** Storage node or host that serves it. */
  @IsOptional()
  @Matches(NAME_PATTERN)
  node?: string;
}

/** `revoked`: nothing new starts on it, and it is not fetched. `retired`: nothing needs it, every copy is removed. */
export const PRODUCTION_STATES = ['promoted', 'revoked', 'retired'] as const;
export type ProductionState = (typeof PRODUCTION_STATES)[number];

/**
 * One version that is or was in production; the last value is the truth. A retired one stays as a mark: what is absent
 * may also have been lost, and nobody removes an image for that.
 */
export class ProductionImage {
  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;

  @IsIn(PRODUCTION_STATES)
  state!: ProductionState;

  /** The digests and sizes are there when it is promoted; else as far as they are known. */
  @IsOptional()
  @Matches(DIGEST_PATTERN)
  contentDigest?: string;

  @IsOptional()
  @Matches(DIGEST_PATTERN)
  manifestDigest?: string;

  @IsOptional()
  @Matches(DIGEST_PATTERN)
  archiveDigest?: string;

  @IsOptional()
  @IsCount(1)
  archiveBytes?: number;

  @IsOptional()
  @IsCount()
  unpackedBytes?: number;

  /** Debian's name of it; absent: not known. */
  @IsOptional()
  @Matches(ARCHITECTURE_PATTERN)
  architecture?: string;

  /** Storage nodes or labels, as asked for in the promotion; absent: every storage node. */
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  to?: readonly string[];

  /** Image-builders, and nodes that have the version and serve it; empty unless it is promoted. */
  @ArrayMaxSize(MAX_SOURCES)
  @NestedEach(() => ImageSource)
  sources!: ImageSource[];

  /**
   * Of each data centre, the first ones that fetch it from an image-builder, in this order; the others wait for them,
   * for a bounded time. They serve the version at these URLs when they have it.
   */
  @ArrayMaxSize(MAX_SOURCES)
  @NestedEach(() => ImageSource)
  seeds!: ImageSource[];

  /** Id of the last event by which it was promoted: a node that had given it up tries again. */
  @IsOptional()
  @IsText(200)
  promotionId?: string;

  /** Of the request by which it was promoted. */
  @IsOptional()
  @IsText(200)
  correlationId?: string;

  /** revoked */
  @IsOptional()
  @IsText(500)
  reason?: string;
}

/** @param to as in {@link ProductionImage.to} */
export function isTarget(
  node: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
  to: readonly string[] | undefined,
): boolean {
  if (to === undefined) return true;
  return to.some((target) => {
    const [key = '', value] = target.split('=', 2);
    if (value === undefined) return target === node.name;
    return Object.hasOwn(node.labels, key) && node.labels[key] === value;
  });
}

/** Why a host is to have a version before a container needs it. */
export const AHEAD_REASONS = ['default', 'rollout', 'prefetch'] as const;
export type AheadReason = (typeof AHEAD_REASONS)[number];

export class ImageAhead {
  @Matches(EXACT_IMAGE_REF_PATTERN)
  image!: string;

  @IsIn(AHEAD_REASONS)
  reason!: AheadReason;
}

/** Versions named for one host at most, in each list. */
export const MAX_HOST_IMAGES = 1000;

/** `desired.host.<host>.images`: what a host's own store holds besides what its containers need. */
export class HostImages {
  @Matches(NAME_PATTERN)
  host!: string;

  /** Fetched, and kept until they are unpinned. `name@version`. */
  @IsArray()
  @ArrayUnique()
  @ArrayMaxSize(MAX_HOST_IMAGES)
  @Matches(EXACT_IMAGE_REF_PATTERN, { each: true })
  pinned!: string[];

  /** Fetched; may be evicted for others when there is no room. */
  @ArrayMaxSize(MAX_HOST_IMAGES)
  @NestedEach(() => ImageAhead)
  ahead!: ImageAhead[];

  /** Removed unless a container needs them; in neither of the other lists. */
  @IsArray()
  @ArrayUnique()
  @ArrayMaxSize(MAX_HOST_IMAGES)
  @Matches(EXACT_IMAGE_REF_PATTERN, { each: true })
  evict!: string[];
}
