/** Makes a tree from an archive, or from another version and what that one lacks. */
import {
  type DeltaFilling,
  extractArchive,
  type ExtractionJob,
  fillFromDelta,
  type FillSummary,
  type StoreOutcome,
} from '@plinth/image-store';

export type FillJob = ExtractionJob | DeltaFilling;

export function fillTree(job: FillJob): Promise<StoreOutcome<FillSummary>> {
  return 'archive' in job ? extractArchive(job) : fillFromDelta(job);
}
