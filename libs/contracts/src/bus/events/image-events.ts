/** Requests and facts about images. One class per event; its subject beside it in `catalogue.ts`. */
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsISO8601,
  IsNumber,
  IsOptional,
  IsString,
  IsUrl,
  Matches,
  MaxLength,
  Min,
  MinLength,
} from 'class-validator';
import { IsCount, IsText } from '../../rules.js';
import { NestedEach } from '../../nested.js';
import { Problem } from '../problem.js';
import {
  ARCHITECTURE_PATTERN,
  DIGEST_PATTERN,
  EXACT_IMAGE_REF_PATTERN,
  ID_PATTERN,
  NAME_PATTERN,
  VERSION_PATTERN,
} from '../../values.js';

/** Asks for an image to be built from a recipe. */
export class ImageRequested {
  /** The recipe, YAML 1.2 text, at most 256 KiB. See docs/recipes.md. */
  @IsString()
  @MinLength(1)
  @MaxLength(256 * 1024)
  recipe!: string;
}

class ImageFact {
  @Matches(NAME_PATTERN)
  name!: string;

  @Matches(VERSION_PATTERN)
  version!: string;
}

/** A version number was assigned and the build has begun. */
export class ImageBuilding extends ImageFact {
  @Matches(ID_PATTERN)
  buildId!: string;

  @Matches(DIGEST_PATTERN)
  recipeDigest!: string;

  @IsISO8601()
  startedAt!: string;
}

/** The archive lies, signed, in the testing repository. */
export class ImageBuilt extends ImageFact {
  @Matches(ID_PATTERN)
  buildId!: string;

  /** Identity of the content; the same recipe at the same snapshot gives the same digest. */
  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @Matches(DIGEST_PATTERN)
  manifestDigest!: string;

  @Matches(DIGEST_PATTERN)
  archiveDigest!: string;

  @IsCount(1)
  archiveBytes!: number;

  @IsCount()
  unpackedBytes!: number;

  @IsCount(1)
  entries!: number;

  /** `name@version` this image was built from. */
  @IsOptional()
  @Matches(EXACT_IMAGE_REF_PATTERN)
  parent?: string;

  @IsNumber()
  @Min(0)
  durationMs!: number;
}

export class ImageTestResult {
  @IsText(200)
  name!: string;

  @IsNumber()
  @Min(0)
  durationMs!: number;
}

/** The image was booted for real and passed its tests; only now can it be promoted. */
export class ImageTested extends ImageFact {
  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @NestedEach(() => ImageTestResult)
  tests!: ImageTestResult[];

  @IsNumber()
  @Min(0)
  durationMs!: number;
}

export const IMAGE_OPERATIONS = [
  'build',
  'promotion',
  'activation',
  'revocation',
  'retirement',
  'prefetch',
  'pin',
  'evict',
] as const;
export type ImageOperation = (typeof IMAGE_OPERATIONS)[number];

export const IMAGE_REJECTION_REASONS = [
  'invalid-request',
  'invalid-recipe',
  'parent-not-found',
  'source-unavailable',
  'source-mismatch',
  'package-not-found',
  'build-command-failed',
  'build-timeout',
  'unsafe-tree',
  'no-space',
  'test-failed',
  'image-not-found',
  'not-tested',
  'already-promoted',
  'not-promoted',
  'revoked',
  'retired',
  'default-image',
  'in-use',
  'in-rollout',
  'not-distributed',
  'host-not-found',
  'no-store',
  'interrupted',
  'internal-error',
] as const;
export type ImageRejectionReason = (typeof IMAGE_REJECTION_REASONS)[number];

/** A build, test, promotion or any other request about an image was refused or failed; nothing of it is left. */
export class ImageRejected {
  @IsIn(IMAGE_OPERATIONS)
  operation!: ImageOperation;

  /** Event id of the request that is answered. */
  @IsText(200)
  requestId!: string;

  @IsIn(IMAGE_REJECTION_REASONS)
  reason!: ImageRejectionReason;

  /** One sentence for people, naming the next step where there is one. */
  @IsText(4000)
  message!: string;

  @IsOptional()
  @IsText(63)
  name?: string;

  @IsOptional()
  @Matches(VERSION_PATTERN)
  version?: string;

  @ArrayMaxSize(200)
  @NestedEach(() => Problem)
  problems!: Problem[];

  /** The test that failed. */
  @IsOptional()
  @IsText(200)
  failedTest?: string;

  /** Last lines of the build's or test's log. */
  @IsOptional()
  @IsText(16_384)
  logTail?: string;
}

/** Asks for a tested image to go into production. */
export class ImagePromotionRequested {
  @Matches(EXACT_IMAGE_REF_PATTERN, { message: 'image must be a name and a version, such as debian-12@v3' })
  image!: string;

  /** Storage nodes (`sn-1`) or labels (`datacenter=west`); absent: all. */
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(1000)
  @Matches(/^[a-z0-9][a-z0-9-]{0,62}(=[a-z0-9][a-z0-9.-]{0,62})?$/, { each: true })
  to?: readonly string[];
}

/** The archive lies in the production repository; storage nodes fetch it from any of `sources`. */
export class ImagePromoted extends ImageFact {
  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @Matches(DIGEST_PATTERN)
  manifestDigest!: string;

  @Matches(DIGEST_PATTERN)
  archiveDigest!: string;

  @IsCount(1)
  archiveBytes!: number;

  @IsCount()
  unpackedBytes!: number;

  /** Debian's name of it; absent: not known. */
  @IsOptional()
  @Matches(ARCHITECTURE_PATTERN)
  architecture?: string;

  /** Base URLs of the version in a repository; `signature.json`, `manifest.json` and the archive lie below. */
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(16)
  @IsUrl({ require_tld: false, protocols: ['http', 'https'], require_protocol: true }, { each: true })
  sources!: string[];

  /** As asked for in the promotion; absent: every storage node. */
  @IsOptional()
  @IsArray()
  @IsString({ each: true })
  to?: readonly string[];
}

/** Asks for a version to become the default of its name, and its name the default OS. */
export class ImageActivationRequested {
  @Matches(EXACT_IMAGE_REF_PATTERN, { message: 'image must be a name and a version, such as debian-12@v3' })
  image!: string;

  /** false: only the default version of its name. */
  @IsOptional()
  @IsBoolean()
  defaultOs?: boolean;
}

export class ImageActivated extends ImageFact {
  /** The version that was the default of this name before. */
  @IsOptional()
  @Matches(VERSION_PATTERN)
  previous?: string;

  /** Whether containers that name no image, or one that can't be served, now get this one. */
  @IsBoolean()
  defaultOs!: boolean;
}

/** Asks that nothing new starts on a version. */
export class ImageRevocationRequested {
  @Matches(EXACT_IMAGE_REF_PATTERN, { message: 'image must be a name and a version, such as debian-12@v3' })
  image!: string;

  @IsString()
  @MinLength(1)
  @MaxLength(500)
  reason!: string;
}

export class ImageRevoked extends ImageFact {
  @IsText(500)
  reason!: string;
}

/**
 * Asks for a version to be removed from every storage node and from the repositories. Refused while anything needs it.
 */
export class ImageRetirementRequested {
  @Matches(EXACT_IMAGE_REF_PATTERN, { message: 'image must be a name and a version, such as debian-12@v3' })
  image!: string;
}

/**
 * Nothing needs this version any more and nothing can start on it: storage nodes remove their masters, the repository
 * its archive.
 */
export class ImageRetired extends ImageFact {}

class StorageNodeImageFact extends ImageFact {
  @Matches(NAME_PATTERN)
  storageNode!: string;
}

/** The image stands, checked against its manifest, in the master repository of one storage node. */
export class ImageDistributed extends StorageNodeImageFact {
  @Matches(DIGEST_PATTERN)
  contentDigest!: string;

  @Matches(DIGEST_PATTERN)
  mountScriptDigest!: string;

  /** Bytes that came over the network for it. */
  @IsCount()
  downloadedBytes!: number;

  @IsCount()
  unpackedBytes!: number;

  @IsNumber()
  @Min(0)
  durationMs!: number;
}

export const DISTRIBUTION_FAILURE_REASONS = [
  'repository-unreachable',
  'repository-refused',
  'download-stalled',
  'wrong-size',
  'digest-mismatch',
  'bad-signature',
  'unknown-key',
  'bad-manifest',
  'bad-archive',
  'manifest-mismatch',
  'no-space',
  'io-error',
] as const;
export type DistributionFailureReason = (typeof DISTRIBUTION_FAILURE_REASONS)[number];

export class ImageDistributionFailed extends StorageNodeImageFact {
  @IsIn(DISTRIBUTION_FAILURE_REASONS)
  reason!: DistributionFailureReason;

  @IsText(2000)
  message!: string;

  @IsCount(1)
  attempt!: number;

  /** Absent: not tried again until it is promoted again. */
  @IsOptional()
  @IsCount()
  retryInMs?: number;
}
