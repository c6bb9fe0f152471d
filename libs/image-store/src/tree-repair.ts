/**
 * Puts right what a check has found, from a fresh tree of the same manifest. Files are replaced by rename, so that
 * containers that run on the tree see the old file or the new one.
 */
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  lchownSync,
  lutimesSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ManifestEntry } from '@plinth/contracts';
import type { TreeProblem } from './tree-check.js';

/**
 * @param standing root of the tree with the problems
 * @param fresh root of a tree on the same file system, whose files are used by link
 * @param temporary a path on that file system that nothing else uses
 */
export function repairTree(
  standing: string,
  fresh: string,
  entries: readonly ManifestEntry[],
  problems: readonly TreeProblem[],
  temporary: string,
): void {
  const damaged = new Set(problems.map(({ path }) => path));
  rmSync(temporary, { force: true });
  // Parents come before their children, so no path leads through something that is no directory of the manifest.
  for (const entry of entries) {
    if (!damaged.has(entry.path)) continue;
    damaged.delete(entry.path);
    const path = join(standing, entry.path);
    if (entry.type === 'directory') {
      repairDirectory(path, entry);
      continue;
    }
    if (entry.type === 'symlink') {
      symlinkSync(entry.target, temporary);
      lchownSync(temporary, entry.uid, entry.gid);
      lutimesSync(temporary, entry.mtime, entry.mtime);
    } else linkSync(entry.link === undefined ? join(fresh, entry.path) : join(standing, entry.link), temporary);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) rmSync(path, { recursive: true });
    renameSync(temporary, path);
    // A rename of one name of a file over another one of it does nothing.
    rmSync(temporary, { force: true });
  }
  // The rest are names that the manifest does not have, in directories that it has.
  for (const path of damaged) rmSync(join(standing, path), { recursive: true, force: true });
  for (const entry of [...entries].reverse())
    if (entry.type === 'directory') utimesSync(join(standing, entry.path), entry.mtime, entry.mtime);
}

function repairDirectory(path: string, entry: ManifestEntry & { readonly type: 'directory' }): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) rmSync(path);
  if (!found?.isDirectory()) mkdirSync(path, { mode: 0o700 });
  chownSync(path, entry.uid, entry.gid);
  chmodSync(path, entry.mode);
}
