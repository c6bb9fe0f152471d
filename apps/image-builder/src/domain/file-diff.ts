/** Which files differ between two manifests. */
import { comparePaths, type FileAspect, type FileChange, type ManifestEntry } from '@plinth/contracts';

export interface FileDiff {
  /** Sorted by path. */
  readonly changes: readonly FileChange[];
  /** Entries that differ in nothing but their time. */
  readonly touched: number;
}

/** Both lists are sorted by path, as manifests are. */
export function diffFiles(from: readonly ManifestEntry[], to: readonly ManifestEntry[]): FileDiff {
  const changes: FileChange[] = [];
  let touched = 0;
  let [before, after] = [0, 0];
  for (;;) {
    const [old, now] = [from[before], to[after]];
    if (!old && !now) return { changes, touched };
    const order = !old ? 1 : !now ? -1 : comparePaths(old.path, now.path);
    if (order <= 0) before++;
    if (order >= 0) after++;
    if (old && now && order === 0) {
      const aspects = differences(old, now);
      if (aspects.length > 0) changes.push(changeOf('changed', old, now, aspects));
      else if (old.mtime !== now.mtime) touched++;
    } else if (old && order < 0) changes.push(changeOf('removed', old, undefined, []));
    else if (now) changes.push(changeOf('added', undefined, now, []));
  }
}

function differences(old: ManifestEntry, now: ManifestEntry): FileAspect[] {
  if (old.type !== now.type) return ['type'];
  const aspects: FileAspect[] = [];
  if (old.type === 'file' && now.type === 'file' && old.digest !== now.digest) aspects.push('content');
  if (old.type === 'file' && now.type === 'file') {
    if (old.link !== now.link) aspects.push('link');
    if (old.capability !== now.capability) aspects.push('capability');
  }
  if (old.type === 'symlink' && now.type === 'symlink' && old.target !== now.target) aspects.push('target');
  if (old.mode !== now.mode) aspects.push('mode');
  if (old.uid !== now.uid || old.gid !== now.gid) aspects.push('owner');
  return aspects;
}

function changeOf(
  change: FileChange['change'],
  old: ManifestEntry | undefined,
  now: ManifestEntry | undefined,
  aspects: readonly FileAspect[],
): FileChange {
  const path = (now ?? old)?.path ?? '';
  return { path: path === '.' ? '/' : `/${path}`, change, aspects, fromBytes: sizeOf(old), toBytes: sizeOf(now) };
}

function sizeOf(entry: ManifestEntry | undefined): number | null {
  return entry?.type === 'file' ? entry.size : null;
}
