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
>;

export interface Installed {
  readonly contentDigest: string;
  readonly mountScriptDigest: string;
  readonly unpackedBytes: number;
  readonly downloadedBytes: number;
}
