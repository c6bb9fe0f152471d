/** A directory that the file system holds to a size. */

export interface DiskLimit {
  readonly bytes: number;
  /** Files and directories; absent, or where the file system can't: not limited. */
  readonly files?: number;
}

export interface DiskUsage {
  readonly bytes: number;
  /** Absent: not counted. */
  readonly files?: number;
}

/**
 * What a file system can do. Every call is for one directory, whose content counts together; all of them are
 * synchronous.
 */
export interface DiskLimiter {
  /** How, in words for people, such as `btrfs quota group`. */
  readonly how: string;
  /** Makes an empty directory that can be limited; its parent is there. @throws SystemCallError */
  makeDirectory(path: string, mode: number): void;
  /** Whether the directory can be limited: not every one that exists can. */
  canLimit(path: string): boolean;
  /** Sets or changes the limit; may be repeated. @throws SystemCallError */
  limit(path: string, limit: DiskLimit): void;
  /** A handle for {@link usage}: what follows from the path is looked up once. @throws SystemCallError */
  handleOf(path: string): number;
  /** undefined: it is gone, or not limited. @param handle from {@link handleOf} */
  usage(handle: number): DiskUsage | undefined;
  /** Takes away what the file system keeps of limits whose directory is gone. */
  sweep(): void;
}
