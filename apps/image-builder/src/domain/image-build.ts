/** One version of an image from its request on, as the catalogue holds it. */
import type { ImageTestResult, ProcessSummary, SignedStatement } from '@plinth/contracts';
import type { BuildState } from './version-states.js';

/** The part of a manifest that `query.build` returns without reading it. */
export interface ManifestSummary {
  readonly contentDigest: string;
  readonly entries: number;
  readonly bytes: number;
  readonly timezone: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly places: readonly { readonly path: string; readonly bytes: number; readonly content: string }[];
  readonly customMountScript: boolean;
  /** Debian's name of it; absent: it was built before that was kept. */
  readonly architecture?: string;
  /** Absent for images that were built before it was recorded. */
  readonly process?: ProcessSummary;
}

export interface PromotionRecord {
  readonly requestId: string;
  readonly correlationId: string;
  readonly to?: readonly string[];
}

export interface ImageBuild {
  readonly buildId: string;
  readonly name: string;
  readonly number: number;
  readonly state: BuildState;
  /** Event id of the request. */
  readonly requestId: string;
  readonly correlationId: string;
  readonly recipe: string;
  readonly recipeDigest: string;
  /** Grows each time a builder takes the build; later writes of an earlier holder are refused. */
  readonly epoch: number;
  /** Times a builder took it and did not release it on purpose. */
  readonly attempts: number;
  readonly startedAt: Date | null;
  readonly builtAt: Date | null;
  readonly durationMs: number | null;
  readonly parent: string | null;
  readonly statement: SignedStatement | null;
  readonly manifest: ManifestSummary | null;
  readonly tests: readonly ImageTestResult[];
  readonly promotion: PromotionRecord | null;
  readonly revokedReason: string | null;
  readonly logTail: string | null;
}

export function versionOf(build: { readonly number: number }): string {
  return `v${build.number}`;
}

export function refOf(build: { readonly name: string; readonly number: number }): string {
  return `${build.name}@${versionOf(build)}`;
}
