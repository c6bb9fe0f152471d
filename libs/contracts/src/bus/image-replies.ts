/**
 * What the image-builder answers to questions about what an image is made of. Replies stay below the bus's limit: long
 * lists are cut, and marked as cut.
 */
import {
  IsArray,
  IsBoolean,
  IsDefined,
  IsIn,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Matches,
  Min,
} from 'class-validator';
import { IsCount } from '../rules.js';
import type { PlaceContent, WritablePlace } from '../image/manifest.js';
import { IsNullable, Nested, NestedEach } from '../nested.js';
import { DIGEST_PATTERN, EXACT_IMAGE_REF_PATTERN } from '../values.js';
import { PlannedProcess } from './process-replies.js';

/** A list that may be cut; `total` counts what was left out as well. */
export interface CutList<T> {
  readonly items: readonly T[];
  readonly total: number;
}

class CutListOf {
  /** What was left out counts as well. */
  @IsCount()
  readonly total!: number;
}

export interface ImagePackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

export class PackageChange {
  @IsString()
  readonly name!: string;

  @IsString()
  readonly architecture!: string;

  /** Version; null: not installed. */
  @IsNullable()
  @IsString()
  readonly from!: string | null;

  @IsNullable()
  @IsString()
  readonly to!: string | null;
}

export class PackageChanges extends CutListOf implements CutList<PackageChange> {
  @NestedEach(() => PackageChange)
  readonly items!: readonly PackageChange[];
}

export class PackageDiff {
  /** Images that were built before packages were recorded; the lists are empty then. */
  @IsArray()
  @IsString({ each: true })
  readonly unknownOf!: readonly string[];

  @IsDefined()
  @Nested(() => PackageChanges)
  readonly added!: CutList<PackageChange>;

  @IsDefined()
  @Nested(() => PackageChanges)
  readonly removed!: CutList<PackageChange>;

  @IsDefined()
  @Nested(() => PackageChanges)
  readonly changed!: CutList<PackageChange>;
}

export const FILE_ASPECTS = ['type', 'content', 'link', 'capability', 'target', 'mode', 'owner'] as const;
export type FileAspect = (typeof FILE_ASPECTS)[number];

export class FileChange {
  /** Absolute, as a container sees it. */
  @IsString()
  readonly path!: string;

  @IsIn(['added', 'removed', 'changed'])
  readonly change!: 'added' | 'removed' | 'changed';

  /** What of a changed one. */
  @IsArray()
  @IsIn(FILE_ASPECTS, { each: true })
  readonly aspects!: readonly FileAspect[];

  /** Sizes; null: no file. */
  @IsNullable()
  @IsCount()
  readonly fromBytes!: number | null;

  @IsNullable()
  @IsCount()
  readonly toBytes!: number | null;
}

export class FileChanges extends CutListOf implements CutList<FileChange> {
  @NestedEach(() => FileChange)
  readonly items!: readonly FileChange[];
}

export class FileDiff {
  @IsCount()
  readonly added!: number;

  @IsCount()
  readonly removed!: number;

  @IsCount()
  readonly changed!: number;

  /** Nothing but the modification time differs; not in the list. */
  @IsCount()
  readonly touched!: number;

  /** Sorted by path. */
  @NestedEach(() => FileChange)
  readonly items!: readonly FileChange[];

  /** Pass it back to get the files that follow; absent: there are none. */
  @IsOptional()
  @IsString()
  readonly next?: string;
}

export class ImageDiffSide {
  /** `name@version` */
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly image!: string;

  @IsString()
  readonly state!: string;

  @Matches(DIGEST_PATTERN)
  readonly contentDigest!: string;

  @IsCount()
  readonly entries!: number;

  @IsCount()
  readonly unpackedBytes!: number;

  @IsCount()
  readonly archiveBytes!: number;
}

/** A writable place as a diff shows it. */
export class PlaceSettings implements WritablePlace {
  @IsString()
  readonly path!: string;

  @IsCount()
  readonly bytes!: number;

  @IsCount()
  readonly inodes!: number;

  @IsIn(['copy', 'overlay', 'empty'])
  readonly content!: PlaceContent;

  @IsCount()
  readonly mode!: number;
}

export class PlaceChange {
  @IsString()
  readonly path!: string;

  @IsNullable()
  @Nested(() => PlaceSettings)
  readonly from!: WritablePlace | null;

  @IsNullable()
  @Nested(() => PlaceSettings)
  readonly to!: WritablePlace | null;
}

export class VariableChange {
  @IsString()
  readonly name!: string;

  @IsNullable()
  @IsString()
  readonly from!: string | null;

  @IsNullable()
  @IsString()
  readonly to!: string | null;
}

export class VariableChanges extends CutListOf implements CutList<VariableChange> {
  @NestedEach(() => VariableChange)
  readonly items!: readonly VariableChange[];
}

export class SettingChange {
  @IsString()
  readonly what!: string;

  @IsString()
  readonly from!: string;

  @IsString()
  readonly to!: string;
}

export class ImageDiff {
  @IsDefined()
  @Nested(() => ImageDiffSide)
  readonly from!: ImageDiffSide;

  @IsDefined()
  @Nested(() => ImageDiffSide)
  readonly to!: ImageDiffSide;

  @IsDefined()
  @Nested(() => PackageDiff)
  readonly packages!: PackageDiff;

  @IsDefined()
  @Nested(() => FileDiff)
  readonly files!: FileDiff;

  /** The files below /etc: the defaults that every container starts with. */
  @IsDefined()
  @Nested(() => FileChanges)
  readonly etc!: CutList<FileChange>;

  /** The mount plan: places that differ. */
  @NestedEach(() => PlaceChange)
  readonly places!: readonly PlaceChange[];

  @IsDefined()
  @Nested(() => VariableChanges)
  readonly environment!: CutList<VariableChange>;

  /** Time zone, command and so on, as text; long values are cut. */
  @NestedEach(() => SettingChange)
  readonly settings!: readonly SettingChange[];
}

export class ImagePlanMount {
  @IsString()
  readonly destination!: string;

  @IsString()
  readonly type!: string;

  @IsString()
  readonly source!: string;

  @IsArray()
  @IsString({ each: true })
  readonly options!: readonly string[];

  /** Limit of a memory file system. */
  @IsNullable()
  @IsCount()
  readonly bytes!: number | null;

  @IsString()
  readonly describe!: string;
}

export class ImagePlanRoot {
  @IsString()
  readonly path!: string;

  @IsBoolean()
  readonly readOnly!: boolean;
}

export class ImagePlanScript {
  @IsArray()
  @IsString({ each: true })
  readonly argv!: readonly string[];

  @IsObject()
  readonly told!: Readonly<Record<string, string>>;

  @IsNumber()
  @Min(0)
  readonly deadlineSeconds!: number;
}

export class ImagePlanFile {
  @IsString()
  readonly path!: string;

  @IsString()
  readonly type!: string;

  @IsNullable()
  @IsString()
  readonly content!: string | null;
}

export class ImagePlanLimits {
  @IsNullable()
  @IsCount()
  readonly memoryBytes!: number | null;

  @IsNullable()
  @IsNumber()
  @Min(0)
  readonly cpus!: number | null;

  @IsNullable()
  @IsCount()
  readonly pids!: number | null;
}

/**
 * Host paths begin with `/storage/<storage node>`, for where a host has that node mounted, and `/state`, for the
 * agent's own directory.
 */
export class ImagePlan extends PlannedProcess {
  @Matches(EXACT_IMAGE_REF_PATTERN)
  readonly image!: string;

  @Matches(DIGEST_PATTERN)
  readonly contentDigest!: string;

  /** Name of the container; null: none was given. */
  @IsNullable()
  @IsString()
  readonly container!: string | null;

  @IsDefined()
  @Nested(() => ImagePlanRoot)
  readonly root!: ImagePlanRoot;

  /** Mounts in order; with a custom mount script only those before it. */
  @NestedEach(() => ImagePlanMount)
  readonly mounts!: readonly ImagePlanMount[];

  /** Present when the image brings its own: it makes the other mounts, with these variables. */
  @IsNullable()
  @Nested(() => ImagePlanScript)
  readonly mountScript!: ImagePlanScript | null;

  /** Files of this container over the image's /etc. */
  @NestedEach(() => ImagePlanFile)
  readonly etc!: readonly ImagePlanFile[];

  @IsArray()
  @IsString({ each: true })
  readonly environment!: readonly string[];

  @IsString()
  readonly timezone!: string;

  @IsString()
  readonly hostname!: string;

  @IsArray()
  @IsString({ each: true })
  readonly command!: readonly string[];

  @IsString()
  readonly workingDirectory!: string;

  @IsString()
  readonly stopSignal!: string;

  @IsIn(['isolated', 'host'])
  readonly network!: 'isolated' | 'host';

  @IsDefined()
  @Nested(() => ImagePlanLimits)
  readonly limits!: ImagePlanLimits;
}
