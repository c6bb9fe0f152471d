/** One version of an image from its request on, as the catalogue holds it. */
import type { ImageTestResult, ProcessSummary, SignedStatement } from '@plinth/contracts';
import type { BuildState } from './lifecycle.js';

/** What `query.build` tells of a manifest without reading it. */
export interface ManifestSummary {
  readonly contentDigest: string;
  readonly entries: number;
  readonly bytes: number;
  readonly timezone: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly places: readonly { readonly path: string; readonly bytes: number; readonly content: string }[];
  readonly customMountScript: boolean;
  /** Not there for images that were built before it was kept. */
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
  /** Grows each time a builder takes the build; what an earlier holder finds out later is refused. */
  readonly epoch: number;
  /** Times a builder took it and did not give it back on purpose. */
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
