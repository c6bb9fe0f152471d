/** An archive unpacked in a directory of its own. */
import { closeSync, mkdirSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageManifest } from '@plinth/contracts';
import { extractArchive, type FillSummary, type StoreOutcome } from '@plinth/image-store';

export interface Extraction {
  readonly outcome: StoreOutcome<FillSummary>;
  /** Holds `root/` and `mount.sh`. */
  readonly directory: string;
}

/** @param objects what trees of several calls stand on; without it each has its own */
export async function extractTo(
  scratch: string,
  archive: Buffer,
  manifest: ImageManifest,
  objects?: string,
): Promise<Extraction> {
  const place = mkdtempSync(join(scratch, 'case-'));
  const directory = join(place, 'tree');
  mkdirSync(directory);
  const path = join(place, 'archive');
  writeFileSync(path, archive);
  const fd = openSync(path, 'r');
  try {
    return {
      outcome: await extractArchive({ archive: fd, directory, manifest, objects: objects ?? join(place, 'objects') }),
      directory,
    };
  } finally {
    closeSync(fd);
  }
}
