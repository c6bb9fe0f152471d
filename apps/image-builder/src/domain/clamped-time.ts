/** Which time of last change an entry of an image has, so that the same recipe gives the same image again. */
import { MANIFEST_LIMITS } from '@plinth/contracts';
import type { Recipe } from './recipe.js';

export interface TimeRule {
  /** Seconds since the epoch: the time of everything that the build itself made. */
  readonly sourceDateEpoch: number;
  /** Entries that changed since then were made by the build; those of packages and tarballs are older. */
  readonly buildStarted: number;
  /** The recipe names a time or a snapshot: nothing is newer than that (reproducible-builds.org, SOURCE_DATE_EPOCH). */
  readonly strict: boolean;
}

/** Days of Debian's releases, and an arbitrary day for everything else. */
const RELEASED: Readonly<Record<string, string>> = {
  bullseye: '2021-08-14',
  bookworm: '2023-06-10',
  trixie: '2025-08-09',
};
const OTHERWISE = '2024-01-01';

export function timeRuleOf(recipe: Recipe, buildStarted: number): TimeRule {
  const { source, sourceDateEpoch } = recipe;
  if (sourceDateEpoch !== undefined) return { sourceDateEpoch, buildStarted, strict: true };
  if (source.kind === 'mmdebstrap' && source.snapshot !== undefined)
    return { sourceDateEpoch: snapshotTime(source.snapshot), buildStarted, strict: true };
  const day = source.kind === 'mmdebstrap' ? (RELEASED[source.suite] ?? OTHERWISE) : OTHERWISE;
  return { sourceDateEpoch: Date.parse(`${day}T00:00:00Z`) / 1000, buildStarted, strict: false };
}

export function clampedTime(mtime: number, rule: TimeRule): number {
  const made = mtime >= rule.buildStarted || (rule.strict && mtime > rule.sourceDateEpoch);
  return made ? rule.sourceDateEpoch : Math.min(Math.max(mtime, 0), MANIFEST_LIMITS.mtime);
}

/** @param snapshot `20250901T000000Z` */
function snapshotTime(snapshot: string): number {
  return Date.parse(snapshot.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')) / 1000;
}
