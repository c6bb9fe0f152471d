/** Questions about what an image is made of, answered by the image-builder. Replies stay below the bus's limit: long lists are cut, and say so. */
import { Type } from 'class-transformer';
import { IsInt, IsObject, IsOptional, Matches, Max, Min, ValidateNested } from 'class-validator';
import { ContainerConfig } from '../container-config.js';
import type { WritablePlace } from '../image/manifest.js';
import { IMAGE_REF_PATTERN } from '../values.js';

/** `query.image.diff` → ImageDiff. A name alone stands for its newest version. */
export class ImageDiffQuery {
  @Matches(IMAGE_REF_PATTERN)
  from!: string;

  @Matches(IMAGE_REF_PATTERN)
  to!: string;

  /** Files of the reply at the most; absent: as many as fit. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(10_000)
  limit?: number;

  /** From the reply before: its files go on from there. */
  @IsOptional()
  @Matches(/^\d{1,7}$/)
  cursor?: string;
}

/** A list that may be cut; `total` counts what was left out as well. */
export interface CutList<T> {
  readonly items: readonly T[];
  readonly total: number;
}

export interface ImagePackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

export interface PackageChange {
  readonly name: string;
  readonly architecture: string;
  /** Version; null: not installed. */
  readonly from: string | null;
  readonly to: string | null;
}

export const FILE_ASPECTS = ['type', 'content', 'target', 'mode', 'owner'] as const;
export type FileAspect = (typeof FILE_ASPECTS)[number];

export interface FileChange {
  /** Absolute, as a container sees it. */
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** What of a changed one. */
  readonly aspects: readonly FileAspect[];
  /** Sizes; null: no file. */
  readonly fromBytes: number | null;
  readonly toBytes: number | null;
}

export interface ImageDiffSide {
  /** `name@version` */
  readonly image: string;
  readonly state: string;
  readonly contentDigest: string;
  readonly entries: number;
  readonly unpackedBytes: number;
  readonly archiveBytes: number;
}

export interface ImageDiff {
  readonly from: ImageDiffSide;
  readonly to: ImageDiffSide;
  readonly packages: {
    /** Images that were built before packages were recorded; the lists are empty then. */
    readonly unknownOf: readonly string[];
    readonly added: CutList<PackageChange>;
    readonly removed: CutList<PackageChange>;
    readonly changed: CutList<PackageChange>;
  };
  readonly files: {
    readonly added: number;
    readonly removed: number;
    readonly changed: number;
    /** Nothing but the modification time differs; not in the list. */
    readonly touched: number;
    /** Sorted by path. */
    readonly items: readonly FileChange[];
    /** Pass it back to get the files that follow; absent: there are none. */
    readonly next?: string;
  };
  /** Of the files, those below /etc: the defaults that every container starts with. */
  readonly etc: CutList<FileChange>;
  /** The mount plan: places that differ. */
  readonly places: readonly {
    readonly path: string;
    readonly from: WritablePlace | null;
    readonly to: WritablePlace | null;
  }[];
  readonly environment: CutList<{ readonly name: string; readonly from: string | null; readonly to: string | null }>;
  /** Time zone, command and so on, as text; long values are cut. */
  readonly settings: readonly { readonly what: string; readonly from: string; readonly to: string }[];
}

/** `query.image.plan` → ImagePlan: what a start would do. Nothing is run or mounted. */
export class ImagePlanQuery {
  /** A name alone stands for its newest version. */
  @Matches(IMAGE_REF_PATTERN)
  image!: string;

  /** Of the container that would be started; absent: one that asks for nothing. Its own image is not looked at. */
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => ContainerConfig)
  config?: ContainerConfig;
}

export interface ImagePlanMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** Limit of a memory file system. */
  readonly bytes: number | null;
  readonly describe: string;
}

/** Host paths begin with `/storage/<storage node>`, for where a host has that node mounted, and `/state`, for the agent's own directory. */
export interface ImagePlan {
  readonly image: string;
  readonly contentDigest: string;
  /** Name of the container; null: none was given. */
  readonly container: string | null;
  readonly root: { readonly path: string; readonly readOnly: boolean };
  /** In order; with a custom mount script only what comes before it. */
  readonly mounts: readonly ImagePlanMount[];
  /** Present when the image brings its own: it makes the other mounts, and is told this. */
  readonly mountScript: {
    readonly argv: readonly string[];
    readonly told: Readonly<Record<string, string>>;
    readonly deadlineSeconds: number;
  } | null;
  /** Files of this container over the image's /etc. */
  readonly etc: readonly { readonly path: string; readonly type: string; readonly content: string | null }[];
  readonly environment: readonly string[];
  readonly timezone: string;
  readonly hostname: string;
  readonly command: readonly string[];
  readonly workingDirectory: string;
  readonly stopSignal: string;
  readonly network: 'isolated' | 'host';
  readonly limits: { readonly memoryBytes: number | null; readonly cpus: number | null; readonly pids: number | null };
}
