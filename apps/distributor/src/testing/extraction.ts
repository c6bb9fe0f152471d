/** An archive unpacked in a directory of its own. */
import { closeSync, mkdirSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageManifest } from '@plinth/contracts';
import { extractArchive } from '../adapters/archive-extraction.js';
import type { Outcome } from '../domain/failure.js';

export interface Extraction {
  readonly outcome: Outcome<void>;
  /** Holds `root/` and `mount.sh`. */
  readonly directory: string;
}

export async function extractTo(scratch: string, archive: Buffer, manifest: ImageManifest): Promise<Extraction> {
  const place = mkdtempSync(join(scratch, 'case-'));
  const directory = join(place, 'tree');
  mkdirSync(directory);
  const path = join(place, 'archive');
  writeFileSync(path, archive);
  const fd = openSync(path, 'r');
  try {
    return { outcome: await extractArchive({ archive: fd, directory, manifest }), directory };
  } finally {
    closeSync(fd);
  }
}
