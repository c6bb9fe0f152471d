/** What `query.build` is answered with. */
import { IsArray, IsBoolean, IsISO8601, IsNumber, IsOptional, IsString, Matches, Min } from 'class-validator';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { IsCount, IsEnvironment, IsText } from '../rules.js';
import { ARCHITECTURE_PATTERN, DIGEST_PATTERN, ID_PATTERN, NAME_PATTERN, VERSION_PATTERN } from '../values.js';
import { ImageTestResult } from './events/image-events.js';
import { ProcessSummary } from './process-replies.js';

export class PlaceSummary {
  @IsText(4096)
  readonly path!: string;

  @IsCount()
  readonly bytes!: number;

  @IsText(100)
  readonly content!: string;
}

/** What a build's manifest holds, in short. */
export class ManifestSummary {
  @Matches(DIGEST_PATTERN)
  readonly contentDigest!: string;

  @IsCount()
  readonly entries!: number;

  @IsCount()
  readonly bytes!: number;

  @IsText(100)
  readonly timezone!: string;

  @IsEnvironment()
  readonly environment!: Readonly<Record<string, string>>;

  /** Empty only beside an entry point. */
  @IsArray()
  @IsString({ each: true })
  readonly command!: readonly string[];

  @NestedEach(() => PlaceSummary)
  readonly places!: readonly PlaceSummary[];

  @IsBoolean()
  readonly customMountScript!: boolean;

  /** Absent for images that were built before it was kept. */
  @IsOptional()
  @Matches(ARCHITECTURE_PATTERN)
  readonly architecture?: string;

  /** Absent for images that were built before it was kept. */
  @IsOptional()
  @Nested(() => ProcessSummary)
  readonly process?: ProcessSummary;
}

export class BuildDetails {
  @Matches(NAME_PATTERN)
  readonly name!: string;

  @Matches(VERSION_PATTERN)
  readonly version!: string;

  @IsText(100)
  readonly state!: string;

  @Matches(ID_PATTERN)
  readonly buildId!: string;

  @IsText(256 * 1024)
  readonly recipe!: string;

  @IsNullable()
  @IsISO8601()
  readonly builtAt!: string | null;

  @IsNullable()
  @IsNumber()
  @Min(0)
  readonly durationMs!: number | null;

  @NestedEach(() => ImageTestResult)
  readonly tests!: readonly ImageTestResult[];

  @IsNullable()
  @Nested(() => ManifestSummary)
  readonly manifest!: ManifestSummary | null;

  @IsNullable()
  @IsString()
  readonly logTail!: string | null;
}
