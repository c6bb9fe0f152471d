/** What is installed, and what an installation reports. */
import type { ImagePromoted } from '@plinth/contracts';

/** A version that is in production: what its files have to be, and the base URLs of repositories that have it. */
export type ProducedImage = Pick<
  ImagePromoted,
  | 'name'
  | 'version'
  | 'contentDigest'
  | 'manifestDigest'
  | 'archiveDigest'
  | 'archiveBytes'
  | 'unpackedBytes'
  | 'sources'
> & {
  /** Absent: only repositories are asked. */
  readonly peers?: PeerSources;
};

/** Machines that have the version as a tree and serve it: base URLs of the version, the preferred ones first. */
export interface PeerSources {
  /** Asked before the repositories. */
  readonly near: readonly string[];
  /** Asked after them. */
  readonly far: readonly string[];
  /** When none of the near ones gives it, the try ends, and where to fetch it is planned again. */
  readonly mayWait: boolean;
}

/** How far a try is; bytes of what is fetched, see `ImageTransfer`. */
export interface TryProgress {
  readonly source: string;
  readonly bytes: number;
  /** Absent: not known yet. */
  readonly ofBytes?: number;
}

export interface Installed {
  readonly contentDigest: string;
  readonly mountScriptDigest: string;
  readonly unpackedBytes: number;
  readonly downloadedBytes: number;
}
