/** Where a source puts its tree, and how it reports progress. */
export interface BootstrapTarget {
  /** Directory that does not exist yet. */
  readonly root: string;
  /** Directory for downloads and the tools' own temporary files. */
  readonly scratch: string;
  readonly packages: readonly string[];
  readonly sourceDateEpoch: number;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** 0 to 1. */
  readonly onProgress: (fraction: number) => void;
}
